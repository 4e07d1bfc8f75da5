"""Estimate a susceptibility field from one phase-encoding polarity and undistorted guide images.

A displacement along the phase-encoding axis, a cubic B-spline, is found that makes the measured
FA resemble the synthetic FA and the Jacobian-modulated b=0 image resemble a T2-like image, both
of which have the geometry of the T1w. The rigid alignment of the two spaces is refined along.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.folding import unfolded
from bids_gan.distortion.spline import SplineBox
from bids_gan.distortion.torch_ops import rotation, sample_last_axis, tensor
from bids_gan.distortion.types import (
    EstimatorSettings,
    FieldEstimate,
    FieldPrior,
    Guides,
    Level,
    Measured,
)
from bids_gan.distortion.units import voxels_to_hz
from bids_gan.geometry import box_grid, pe_axis_sign, resample, voxel_sizes

_BOX_MARGIN_MM = 12.0
_FADE_MM = 40.0
_DENSE_WINDOWS_MM = 4.0  # below this voxel size every second window will do
_ROTATION_UNIT = np.deg2rad(2.9)
_TRANSLATION_UNIT = 3.0
_MIN_JACOBIAN = 0.05
_FOLD = 0.3


def estimate_field(
    measured: Measured,
    guides: Guides,
    dwi_to_t1w: np.ndarray,
    settings: EstimatorSettings | None = None,
    prior: FieldPrior | None = None,
) -> FieldEstimate:
    """Estimate the field that distorted a diffusion image.

    Parameters
    ----------
    measured : Measured
    guides : Guides
    dwi_to_t1w : (4, 4) array
        Initial rigid pull matrix from diffusion world to T1w world.
    settings : EstimatorSettings, optional
    prior : FieldPrior, optional
        What is expected beforehand, see :func:`bids_gan.distortion.learnt.predict`.

    Returns
    -------
    FieldEstimate

    Notes
    -----
    Minimised, with displacement d (mm), position y (mm) along phase encoding and brain mask M::

        wFA (1 - LC(FA(y + d), FA_synth)) + wb0 (1 - LC(b0(y + d) (1 + d'), T2_like))
        + bending mean|∇²d|² + fold mean[(0.3 - J)₊² + (J - 1/0.3)₊²] + magnitude mean_M d²

    LC is the mean local correlation inside M, which is never dilated: what lies outside the
    brain in the guides is not anatomy. FA is a ratio and gets no Jacobian. With a prior m ± σ the
    spline is the difference d - m, whose bending and magnitude are penalised instead, and
    ``prior mean_M ((d - m) / σ)²`` is added.
    """
    settings = settings or EstimatorSettings()
    axis, _ = pe_axis_sign(measured.pe_direction)
    frame = _Frame(measured, guides, dwi_to_t1w, axis, prior)
    coefficients, spline = None, None
    pose = np.zeros(6)
    for number, level in enumerate(settings.levels):
        problem = _Problem(frame, level, settings)
        start = problem.carry_over(spline, coefficients)
        if number == 0 and settings.refine_rigid and settings.rigid_iterations:
            still = replace(settings, rate_field=0.0)
            _, pose, _ = problem.minimise(start, pose, still, settings.rigid_iterations)
        coefficients, pose, terms = problem.minimise(start, pose, settings, level.iterations)
        spline = problem.spline
    return frame.result(spline, coefficients, pose, terms)


def similarity(
    measured: Measured, guides: Guides, dwi_to_t1w: np.ndarray, displacement_mm: np.ndarray
) -> dict[str, float]:
    """Mean local correlation of each corrected image with its guide.

    Parameters
    ----------
    measured, guides, dwi_to_t1w
        As for `estimate_field`.
    displacement_mm : (I, J, K) array
        As in `FieldEstimate`; zeros for the uncorrected images.

    Returns
    -------
    dict
        ``"b0"`` and ``"fa"``, each in [-1, 1].
    """
    import torch

    axis, _ = pe_axis_sign(measured.pe_direction)
    settings = EstimatorSettings()
    problem = _Problem(_Frame(measured, guides, dwi_to_t1w, axis), settings.levels[-1], settings)
    with torch.no_grad():
        fixed = problem.fixed_images(torch.zeros(6))
        alike = problem.alike(*problem.displacement(displacement_mm), fixed)
    return {name: float(value) for name, value in alike.items()}


class _Frame:
    """Millimetre coordinates along the diffusion voxel axes, phase encoding last."""

    def __init__(
        self,
        measured: Measured,
        guides: Guides,
        dwi_to_t1w: np.ndarray,
        axis: int,
        prior: FieldPrior | None = None,
    ):
        self.measured, self.guides, self.start, self.axis = measured, guides, dwi_to_t1w, axis
        self.prior = prior
        self.order = [a for a in range(3) if a != axis] + [axis]
        zooms = voxel_sizes(measured.affine)
        self.zooms = zooms[self.order]
        # mm along the reordered axes -> world
        self.affine = np.eye(4)
        self.affine[:3, :3] = (measured.affine[:3, :3] / zooms)[:, self.order]
        self.affine[:3, 3] = measured.affine[:3, 3]
        self.voxel_affine = self.affine @ np.diag([*self.zooms, 1.0])
        self.images = [np.transpose(i, self.order) for i in (measured.b0, measured.fa)]
        self.mask = self._mask(np.zeros(6))
        extent = (np.array(self.images[0].shape) - 1) * self.zooms
        inside = np.argwhere(self.mask) * self.zooms
        if not len(inside):
            raise ValueError("the T1w brain mask does not overlap the diffusion field of view")
        self.low = np.maximum(inside.min(axis=0) - _BOX_MARGIN_MM, 0)
        self.high = np.minimum(inside.max(axis=0) + _BOX_MARGIN_MM, extent)

    @property
    def centre(self) -> np.ndarray:
        """Centre of the brain in T1w world, about which the pose turns."""
        index = np.argwhere(self.guides.mask > 0).mean(axis=0)
        return self.guides.affine[:3, :3] @ index + self.guides.affine[:3, 3]

    def to_t1w(self, pose: np.ndarray) -> np.ndarray:
        units = np.repeat([_ROTATION_UNIT, _TRANSLATION_UNIT], 3)
        return rigid_matrix(pose * units, self.centre) @ self.start

    def expected(self, shape, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement (mm) that the prior expects on a grid, and its standard deviation."""
        if self.prior is None:
            return np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
        mean, sigma = (
            resample(m, self.prior.affine, shape, affine, antialias=False, mode="nearest")
            for m in (self.prior.mm, self.prior.sigma_mm)
        )
        return mean, sigma

    def _mask(self, pose: np.ndarray) -> np.ndarray:
        sampled = resample(
            (self.guides.mask > 0).astype(np.float32),
            self.guides.affine,
            self.images[0].shape,
            self.voxel_affine,
            target_to_source=self.to_t1w(pose),
        )
        return sampled > 0.5

    def result(self, spline: SplineBox, coefficients, pose, terms) -> FieldEstimate:
        """Field on the diffusion grid, held beyond the box and faded out with distance."""
        measured = self.measured
        positions = [
            np.arange(n) * zoom - low
            for n, zoom, low in zip(self.images[0].shape, self.zooms, self.low, strict=True)
        ]
        mask = self._mask(pose)
        distance = ndimage.distance_transform_edt(~mask, sampling=self.zooms)
        fade = np.cos(np.pi / 2 * (distance / _FADE_MM).clip(0, 1)) ** 2
        back = np.argsort(self.order)
        mean, sigma = self.expected(mask.shape, self.voxel_affine)
        expected = None
        if self.prior is not None:
            maps = (np.transpose(m, back) for m in (mean, sigma))
            expected = FieldPrior(*maps, measured.affine)
        mm = np.transpose((mean + spline.evaluate(coefficients, positions)) * fade, back)
        zoom = voxel_sizes(measured.affine)[self.axis]
        voxels = unfolded(mm / zoom, self.axis)
        hz = voxels_to_hz(voxels, measured.pe_direction, measured.readout_time)
        return FieldEstimate(
            hz=hz.astype(np.float32),
            displacement_mm=(zoom * voxels).astype(np.float32),
            dwi_to_t1w=self.to_t1w(pose),
            mask=np.transpose(mask, back),
            terms=terms,
            expected=expected,
        )


class _Problem:
    """The objective at one resolution, as torch tensors."""

    def __init__(self, frame: _Frame, level: Level, settings: EstimatorSettings):
        import torch

        self.frame, self.level, self.settings = frame, level, settings
        span = frame.high - frame.low
        shape = tuple(int(n) for n in np.floor(span / level.spacing) + 1)
        self.positions = [np.arange(n) * level.spacing for n in shape]
        self.spline = SplineBox(span, level.knots)
        grid = frame.affine @ _shift(frame.low) @ np.diag([level.spacing] * 3 + [1.0])
        self.grid = grid

        self.moving = [
            torch.from_numpy(self._blur(resample(i, frame.voxel_affine, shape, grid)))
            for i in frame.images
        ]
        self.guide_affine, self.fixed = self._guides(level)
        expected, sigma = frame.expected(shape, grid)
        self.expected = tensor(expected)
        self.expected_slope = tensor(np.gradient(expected, level.spacing, axis=2))
        self.precision = tensor(sigma**-2.0)
        self.bases = [tensor(b) for b in self.spline.bases(self.positions)]
        self.slope = tensor(self.spline.bases(self.positions, (0, 0, 1))[2])
        self.bending = [
            (weight, [tensor(g) for g in grams])
            for weight, grams in self.spline.bending_matrices()
        ]
        index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
        self.index = tensor(index.reshape(-1, 3))
        self.shape = shape

    def _blur(self, image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, self.level.blur, mode="nearest")

    def _guides(self, level: Level):
        """Guide images (1, 3, ...) resampled around the brain a little finer than the level."""
        guides, spacing = self.frame.guides, level.spacing * 2 / 3
        shape, affine = box_grid(guides.mask > 0, guides.affine, spacing, 3 * spacing)
        maps = []
        for image in (guides.t2, guides.fa):
            # same resolution as the measured images, which were averaged to the full spacing
            fine = resample(image, guides.affine, shape, affine)
            maps.append(ndimage.gaussian_filter(fine, 1.5 * level.blur + 0.35, mode="nearest"))
        maps.append(resample((guides.mask > 0).astype(np.float32), guides.affine, shape, affine))
        return affine, tensor(np.stack(maps)[None])

    def carry_over(self, spline: SplineBox | None, coefficients) -> np.ndarray:
        """Coefficients of the previous level's field on this level's knots."""
        if spline is None:
            return np.zeros(self.spline.shape)
        return self.spline.fit(spline.evaluate(coefficients, self.positions), self.positions)

    def minimise(self, coefficients, pose, settings: EstimatorSettings, iterations: int):
        """Adam on coefficients and pose; returns both and the terms of the objective."""
        import torch

        c = tensor(coefficients).requires_grad_(settings.rate_field > 0)
        moves = settings.refine_rigid and self.level.rigid
        p = torch.tensor(pose, dtype=torch.float32, requires_grad=moves)
        groups = [{"params": [c], "lr": settings.rate_field}] if c.requires_grad else []
        if p.requires_grad:
            groups.append({"params": [p], "lr": settings.rate_rigid})
        optimiser = torch.optim.Adam(groups)
        fixed = None if p.requires_grad else self.fixed_images(p)
        for _ in range(iterations):
            optimiser.zero_grad()
            terms = self._terms(c, fixed or self.fixed_images(p), p)
            sum(terms.values()).backward()
            optimiser.step()
        report = {name: float(value.detach()) for name, value in terms.items()}
        return c.detach().numpy().astype(float), p.detach().numpy().astype(float), report

    def fixed_images(self, pose):
        """Local correlation with the T2-like image and the synthetic FA, and the mask."""
        import torch
        from torch.nn import functional as F

        from bids_gan.distortion.similarity import LocalCorrelation, standardise

        # voxel of the level -> T1w world (turned about the centre) -> voxel of the guide box
        centre = torch.tensor(self.frame.centre, dtype=torch.float32)
        first = tensor(self.frame.start @ self.grid)
        world = self.index @ first[:3, :3].T + first[:3, 3] - centre
        world = world @ rotation(pose[:3] * _ROTATION_UNIT).T
        world = world + centre + pose[3:] * _TRANSLATION_UNIT
        last = tensor(np.linalg.inv(self.guide_affine))
        voxel = world @ last[:3, :3].T + last[:3, 3]
        size = torch.tensor(self.fixed.shape[2:], dtype=torch.float32)
        unit = (2 * voxel / (size - 1) - 1).flip(-1).reshape(1, *self.shape, 3)
        t2, fa, mask = F.grid_sample(self.fixed, unit, align_corners=True)[0]
        mask = (mask.detach() > 0.5).float()
        stride = 2 if self.level.spacing < _DENSE_WINDOWS_MM else 1
        t2, fa = (
            LocalCorrelation(standardise(image, mask), mask, self.settings.window_radius, stride)
            for image in (t2, fa)
        )
        return t2, fa, mask

    def _terms(self, c, fixed, pose) -> dict:
        """Weighted terms of the objective."""
        import torch

        settings, mask = self.settings, fixed[-1]
        bx, by, bz = self.bases
        across = torch.einsum("abc,xa,yb->xyc", c, bx, by)
        mm, slope = across @ bz.T, across @ self.slope.T
        weights = {"b0": settings.weight_b0, "fa": settings.weight_fa}
        used = [name for name, weight in weights.items() if weight]
        jacobian = 1 + self.expected_slope + slope
        alike = self.alike(self.expected + mm, jacobian, fixed, used)

        terms = {name: weights[name] * (1 - alike[name]) for name in used}
        terms["bending"] = settings.bending * sum(
            weight * (torch.einsum("abc,ax,by,cz->xyz", c, *grams) * c).sum()
            for weight, grams in self.bending
        )
        fold = (_FOLD - jacobian).clamp_min(0) ** 2 + (jacobian - 1 / _FOLD).clamp_min(0) ** 2
        terms["fold"] = settings.fold * fold.mean()
        weight = settings.magnitude + settings.prior * self.precision
        terms["magnitude"] = (weight * mm**2 * mask).sum() / mask.sum().clamp_min(1)
        terms["rigid"] = settings.rigid * (pose**2).sum()
        return terms

    def alike(self, mm, jacobian, fixed, names=("b0", "fa")) -> dict:
        """Local correlation of each displaced image with its guide."""
        t2, fa, _ = fixed
        shift, alike = mm / self.level.spacing, {}
        if "b0" in names:
            modulation = jacobian.clamp_min(_MIN_JACOBIAN)
            alike["b0"] = t2(sample_last_axis(self.moving[0], shift) * modulation)
        if "fa" in names:
            alike["fa"] = fa(sample_last_axis(self.moving[1], shift))
        return alike

    def displacement(self, mm: np.ndarray):
        """A displacement (mm) on the diffusion grid, and its Jacobian, on this level's grid."""
        here = resample(
            np.transpose(mm, self.frame.order),
            self.frame.voxel_affine,
            self.shape,
            self.grid,
            antialias=False,
        )
        slope = np.gradient(here, self.level.spacing, axis=2)
        return tensor(here), tensor(1 + slope)


def _shift(offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix
