"""Estimate a susceptibility field from two images of opposite phase encoding.

One field moved the signal of both, in opposite directions. It is found by making the corrected
images equal; where the head moved in between, the second image is moved back along. What the
synthetic images and the T1w let expect of the field counts where the two images tell little.

After Andersson et al. 2003 (https://doi.org/10.1016/S1053-8119(03)00336-7), with cubic B-splines
from coarse to fine and a quasi-Newton method.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.spline import SplineBox
from bids_gan.distortion.torch_ops import rotation, sample_last_axis, tensor
from bids_gan.distortion.types import FieldPrior
from bids_gan.distortion.units import voxels_to_hz
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

#: units of the pose, in which 1 is a large move: rad and mm
_ROTATION_UNIT, _TRANSLATION_UNIT = np.deg2rad(2.9), 3.0
_COEFFICIENT_UNIT = 0.4
_FOLD = 0.05


@dataclass(frozen=True)
class Recorded:
    """An image as the scanner recorded it.

    Attributes
    ----------
    image : 3D image
        b=0 signal.
    pe_direction : str
        BIDS ``PhaseEncodingDirection``.
    readout_time : float
        BIDS ``TotalReadoutTime`` in seconds.
    """

    image: nib.Nifti1Image
    pe_direction: str
    readout_time: float


@dataclass(frozen=True)
class PairLevel:
    """One resolution: grid, knots and blur (standard deviation) in mm, most iterations.

    What is expected beforehand counts where `expects` is true: before the images are nearly
    brought together, how much they differ does not tell how little they say.
    """

    spacing: float
    knots: float
    blur: float
    iterations: int
    expects: bool = False


@dataclass(frozen=True)
class PairSettings:
    """Resolutions from coarse to fine, and weights.

    Attributes
    ----------
    levels : tuple of PairLevel
        No grid is finer than the images.
    bending : float
        Weight of the mean squared second derivatives of the displacement (mm per mm²).
    fold : float
        Weight of Jacobians below 0.05.
    rigid : float
        Weight of ``|rotation / 2.9°|² + |translation / 3 mm|²`` of the move between the images.
    prior : float
        Weight of the mean squared difference from what was expected beforehand, in units of its
        standard deviation and times how much the images still differ (noise). As the likelihood
        has it: a voxel of 2 mm over the volume within which errors of an expectation are alike,
        some 8 mm wide.
    """

    levels: tuple[PairLevel, ...] = (
        PairLevel(6.0, 36.0, 4.0, 80),
        PairLevel(4.0, 20.0, 2.5, 80),
        PairLevel(3.0, 12.0, 1.5, 60, expects=True),
        PairLevel(2.0, 6.0, 0.3, 60, expects=True),
    )
    bending: float = 0.1
    fold: float = 10.0
    rigid: float = 1e-4
    prior: float = (2.0 / 8.0) ** 3


@dataclass(frozen=True)
class PairEstimate:
    """Result of :func:`estimate_from_pair`.

    Attributes
    ----------
    hz : (I, J, K) float32 array
        Field on the grid of the first image, at corrected positions.
    motion : (4, 4) array
        Pull matrix from the world of the first image to that of the second: the head's move.
    disagreement, disagreement_before : float
        Mean squared difference of the corrected and of the recorded images, over the variance of
        the first.
    """

    hz: np.ndarray
    motion: np.ndarray
    disagreement: float
    disagreement_before: float


def estimate_from_pair(
    first: Recorded,
    second: Recorded,
    settings: PairSettings | None = None,
    prior: FieldPrior | None = None,
) -> PairEstimate:
    """Field and head motion that make two images of opposite phase encoding equal.

    Parameters
    ----------
    first, second : Recorded
        Any grids that share the axis of phase encoding.
    settings : PairSettings, optional
    prior : FieldPrior, optional
        Displacement of the first image that is expected beforehand, m ± σ; σ may be infinite.

    Returns
    -------
    PairEstimate

    Raises
    ------
    ValueError
        When the phase encoding of the two is not opposite.

    Notes
    -----
    Minimised over the displacement d (mm, a B-spline) and the pose R of the second head::

        mean (I₁(y + d) (1 + d') - I₂(R (y - r d)) (1 - r d'))² / variance
        + bending mean|∇²d|² + fold mean (0.05 - J)₊² + prior D mean ((d - m) / σ)²

    where D is the first term as it was at the start of a resolution, and r is the ratio of
    readout times. A translation along phase encoding looks like a constant field, which it is
    taken for.
    """
    settings = settings or PairSettings()
    frame = _PairFrame(first, second, prior)
    spline, coefficients, pose = None, None, np.zeros(6)
    for level in settings.levels:
        problem = _PairProblem(frame, level, settings)
        start = problem.carry_over(spline, coefficients)
        coefficients, pose = problem.minimise(start, pose)
        spline = problem.spline
    return PairEstimate(
        hz=frame.hz(spline, coefficients),
        motion=frame.motion(pose),
        disagreement=problem.disagreement(coefficients, pose),
        disagreement_before=problem.disagreement(0 * coefficients, 0 * pose),
    )


class _PairFrame:
    """Millimetre coordinates along the first image's axes, phase encoding last."""

    def __init__(self, first: Recorded, second: Recorded, prior: FieldPrior | None):
        self.first, self.second, self.prior = first, second, prior
        self.axis, self.sign = pe_axis_sign(first.pe_direction)
        self.order = [a for a in range(3) if a != self.axis] + [self.axis]
        affine = first.image.affine
        self.zooms = voxel_sizes(affine)[self.order]
        self.affine = np.eye(4)
        self.affine[:3, :3] = (affine[:3, :3] / voxel_sizes(affine))[:, self.order]
        self.affine[:3, 3] = affine[:3, 3]
        self.voxel_affine = self.affine @ np.diag([*self.zooms, 1.0])
        self.ratio = self._ratio()
        self.extent = (np.array(first.image.shape)[self.order] - 1) * self.zooms

    def _ratio(self) -> float:
        """Displacement of the second image, mm along the first's axis, for 1 mm of the first."""
        axis, sign = pe_axis_sign(self.second.pe_direction)
        column = self.second.image.affine[:3, axis]
        along = float(column @ self.affine[:3, 2])
        zoom = float(np.linalg.norm(column))
        if abs(along) < 0.98 * zoom:
            raise ValueError("the two images have different axes of phase encoding")
        per_hz = [
            self.sign * self.first.readout_time * self.zooms[2],
            sign * self.second.readout_time * along,
        ]
        ratio = per_hz[1] / per_hz[0]
        if ratio > 0:
            raise ValueError(
                f"phase encoding {self.first.pe_direction} and {self.second.pe_direction} run in "
                "the same direction"
            )
        return ratio

    @property
    def centre(self) -> np.ndarray:
        """Middle of the first image in world mm, about which the pose turns."""
        return nib.affines.apply_affine(self.affine, self.extent / 2)

    def motion(self, pose: np.ndarray) -> np.ndarray:
        units = np.repeat([_ROTATION_UNIT, _TRANSLATION_UNIT], 3)
        return rigid_matrix(self.allowed(pose) * units, self.centre)

    def allowed(self, pose: np.ndarray) -> np.ndarray:
        """Without the translation along phase encoding."""
        axis = self.affine[:3, 2]
        return np.r_[pose[:3], pose[3:] - axis * (pose[3:] @ axis)]

    def expected(self, shape, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement (mm) that is expected on a grid, and one over its variance."""
        if self.prior is None:
            return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        maps = (self.prior.mm, self.prior.sigma_mm**-2.0)
        grid = (self.prior.affine, shape, affine)
        return tuple(resample(m, *grid, antialias=False, mode="nearest") for m in maps)

    def hz(self, spline: SplineBox, coefficients: np.ndarray) -> np.ndarray:
        shape = np.array(self.first.image.shape)[self.order]
        positions = [np.arange(n) * zoom for n, zoom in zip(shape, self.zooms, strict=True)]
        mm = spline.evaluate(coefficients, positions)
        voxels = np.transpose(mm, np.argsort(self.order)) / self.zooms[2]
        hz = voxels_to_hz(voxels, self.first.pe_direction, self.first.readout_time)
        return hz.astype(np.float32)


class _PairProblem:
    """The objective at one resolution, as torch tensors."""

    def __init__(self, frame: _PairFrame, level: PairLevel, settings: PairSettings):
        self.frame, self.settings, self.level = frame, settings, level
        spacing = np.maximum(level.spacing, frame.zooms * 0.999)
        shape = tuple(int(n) for n in np.floor(frame.extent / spacing) + 1)
        self.positions = [np.arange(n) * s for n, s in zip(shape, spacing, strict=True)]
        self.spacing, self.shape = spacing, shape
        self.spline = SplineBox(frame.extent, level.knots)
        self.grid = frame.affine @ np.diag([*spacing, 1.0])
        first, second = (self._image(one.image) for one in (frame.first, frame.second))
        self.one = tensor(resample(first, frame.first.image.affine, shape, self.grid))
        there = resample(second, frame.second.image.affine, shape, self.grid)
        # distortion conserves signal: what is left is the gain of the receiver
        gain = float(self.one.mean()) / max(float(there.mean()), 1e-12)
        self.two = tensor(second * gain)[None, None]
        scale = float(((self.one - self.one.mean()) ** 2).mean())
        self.scale = max(scale, 1e-12)
        self.bases = [tensor(b) for b in self.spline.bases(self.positions)]
        self.slope = tensor(self.spline.bases(self.positions, (0, 0, 1))[2])
        self.bending = [
            (weight, [tensor(g) for g in grams])
            for weight, grams in self.spline.bending_matrices()
        ]
        self.expected, self.precision = map(tensor, frame.expected(shape, self.grid))
        self.trust = 0.0
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        self.index = tensor(index)

    def _image(self, image: nib.Nifti1Image) -> np.ndarray:
        data = np.asarray(image.dataobj, np.float32)
        return ndimage.gaussian_filter(data, self.level.blur / voxel_sizes(image.affine))

    def carry_over(self, spline, coefficients) -> np.ndarray:
        """Coefficients of the previous level's field on this level's knots."""
        if spline is None:
            return np.zeros(self.spline.shape)
        return self.spline.fit(spline.evaluate(coefficients, self.positions), self.positions)

    def minimise(self, coefficients: np.ndarray, pose: np.ndarray):
        """L-BFGS on coefficients and pose; returns both."""
        import torch

        if self.level.expects:
            self.trust = self.settings.prior * self.disagreement(coefficients, pose)
        # a coefficient moves a small part of the image, the pose all of it: equal curvature
        unit = _COEFFICIENT_UNIT * coefficients.size**0.5
        c = tensor(coefficients / unit).requires_grad_()
        p = tensor(pose).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [c, p], max_iter=self.level.iterations, history_size=10,
            tolerance_grad=0, tolerance_change=1e-9, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure():
            optimiser.zero_grad()
            total = sum(self._terms(unit * c, p).values())
            total.backward()
            return total

        optimiser.step(closure)
        return unit * c.detach().numpy().astype(float), p.detach().numpy().astype(float)

    def disagreement(self, coefficients: np.ndarray, pose: np.ndarray) -> float:
        """Mean squared difference of the images over the variance of the first."""
        import torch

        with torch.no_grad():
            return float(self._terms(tensor(coefficients), tensor(pose))["images"])

    def _terms(self, c, pose) -> dict:
        import torch

        across = torch.einsum("abc,xa,yb->xyc", c, *self.bases[:2])
        mm, slope = across @ self.bases[2].T, across @ self.slope.T
        ratio = self.frame.ratio
        one = sample_last_axis(self.one, mm / float(self.spacing[2])) * (1 + slope)
        two = self._second(mm * ratio, pose) * (1 + ratio * slope)
        folds = [(_FOLD - 1 - r * slope).clamp_min(0) ** 2 for r in (1.0, ratio)]
        settings = self.settings
        return {
            "images": (one - two).square().mean() / self.scale,
            "bending": settings.bending * sum(
                weight * (torch.einsum("abc,ax,by,cz->xyz", c, *grams) * c).sum()
                for weight, grams in self.bending
            ),
            "fold": settings.fold * sum(fold.mean() for fold in folds),
            "rigid": settings.rigid * pose.square().sum(),
            "prior": self.trust * (self.precision * (mm - self.expected).square()).mean(),
        }  # fmt: skip

    def _second(self, mm, pose):
        """Second image at the grid's points, moved with the head and then displaced."""
        import torch
        from torch.nn import functional as F

        frame = self.frame
        axis = tensor(frame.affine[:3, 2])
        centre = tensor(frame.centre)
        grid = tensor(self.grid)
        world = self.index @ grid[:3, :3].T + grid[:3, 3] - centre
        world = world @ rotation(pose[:3] * _ROTATION_UNIT).T + centre
        shift = pose[3:] * _TRANSLATION_UNIT
        world = world + shift - axis * (shift @ axis) + mm[..., None] * axis
        back = tensor(np.linalg.inv(frame.second.image.affine))
        voxel = world @ back[:3, :3].T + back[:3, 3]
        size = torch.tensor(self.two.shape[2:], dtype=torch.float32)
        unit = (2 * voxel / (size - 1) - 1).flip(-1)[None]
        return F.grid_sample(self.two, unit, align_corners=True, padding_mode="border")[0, 0]
