"""A network's guess of the displacement, and of how wrong that guess is.

The network sees every run in one orientation: phase encoding along the first axis, towards where
a positive field moves the signal; the other two run to the right, front or top. So it predicts
the displacement of a positive blip in mm, whatever direction the run was encoded in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.distortion.types import FieldPrior, Guides, Measured
from bids_gan.gan.inference import run_network
from bids_gan.gan.methods.displacement import displacement_heads
from bids_gan.gan.position import grid_coordinates, position_channels
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

if TYPE_CHECKING:
    from torch import nn

#: voxel size of the network's grid, mm
SPACING = 4.0
#: around the brain, mm
MARGIN = 12.0
#: what a network may look at
IMAGES = ("b0", "fa")
#: names of the channels of :func:`network_channels`
CHANNELS = ("b0", "b0 mask", "FA", "T2-like", "synthetic FA", "brain", "|x|", "y", "z")


@dataclass(frozen=True)
class Grid:
    """Grid on which the network sees a run: shape, and affine from voxel to diffusion world."""

    shape: tuple[int, int, int]
    affine: np.ndarray


def predict(
    measured: Measured,
    guides: Guides,
    dwi_to_t1w: np.ndarray,
    network: nn.Module,
    images: Collection[str] = IMAGES,
    precision: str = "auto",
) -> FieldPrior:
    """Displacement that the network expects, its standard deviation, and misalignment.

    Parameters
    ----------
    measured : Measured
    guides : Guides
    dwi_to_t1w : (4, 4) array
        Rigid pull matrix from diffusion world to T1w world.
    network : module
        Trained by the recipe ``distortion``.
    images : collection of {'b0', 'fa'}
        What it may look at; the other image and its guide are erased, as in some runs that it
        learnt from.
    precision : {'auto', 'bf16', 'fp32'}

    Returns
    -------
    FieldPrior
    """
    grid = canonical_grid(measured, guides, dwi_to_t1w)

    def here(image, seen=True):
        return resample(image, measured.affine, grid.shape, grid.affine) * seen

    def guide(image, seen=True):
        there = {"target_to_source": dwi_to_t1w}
        return resample(image, guides.affine, grid.shape, grid.affine, **there) * seen

    volume = network_channels(
        b0=here(measured.b0, "b0" in images),
        b0_mask=here((measured.b0 > 0).astype(np.float32)) > 0.5,
        fa=here(measured.fa, "fa" in images),
        t2=guide(guides.t2, "b0" in images),
        synth_fa=guide(guides.fa, "fa" in images),
        brain=guide((guides.mask > 0).astype(np.float32)) > 0.5,
        directions=grid.affine[:3, :3],
    )
    raw = run_network(network, volume, precision)
    mean, log_variance, apart = (part[0].numpy() for part in displacement_heads(raw[None]))
    _, sign = pe_axis_sign(measured.pe_direction)
    return FieldPrior(
        mm=sign * mean[0],
        sigma_mm=np.exp(log_variance[0] / 2),
        affine=grid.affine,
        apart=np.moveaxis(apart, 0, -1) @ (grid.affine[:3, :3] / SPACING).T,
    )


def network_channels(
    *,
    b0: np.ndarray,
    b0_mask: np.ndarray,
    fa: np.ndarray,
    t2: np.ndarray,
    synth_fa: np.ndarray,
    brain: np.ndarray,
    directions: np.ndarray,
) -> np.ndarray:
    """What the network sees, on its grid: :data:`CHANNELS`.

    Parameters
    ----------
    b0, fa : (I, J, K) array
        Distorted images, without receive-coil shading; used inside `b0_mask` only.
    b0_mask : (I, J, K) bool array
        Where the distorted brain is.
    t2, synth_fa : (I, J, K) array
        T2-like image and synthetic FA, undistorted; used inside `brain` only.
    brain : (I, J, K) bool array
        Undistorted brain.
    directions : (3, 3) array
        World direction of each array axis, in mm a voxel.

    Returns
    -------
    (9, I, J, K) float32 array

    Notes
    -----
    The T1w itself is not among them: the T2-like image has all that it shows of the brain.
    """
    centre = ndimage.center_of_mass(brain) if brain.any() else np.array(brain.shape) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = directions
    matrix[:3, 3] = -directions @ np.array(centre)
    position = position_channels(grid_coordinates(brain.shape), matrix).numpy()
    images = [_even(b0, b0_mask), b0_mask, fa * b0_mask, _even(t2, brain), synth_fa * brain, brain]
    return np.concatenate([np.asarray(images, np.float32), position])


def canonical_grid(measured: Measured, guides: Guides, dwi_to_t1w: np.ndarray) -> Grid:
    """Grid around the brain of the T1w, its axes those of the diffusion image, in one order."""
    axes, signs = _orientation(measured.affine, measured.pe_direction)
    directions = (measured.affine[:3, :3] / voxel_sizes(measured.affine))[:, axes] * signs
    to_world = np.linalg.inv(dwi_to_t1w) @ guides.affine
    voxels = np.argwhere(guides.mask > 0)[::7]
    along = nib.affines.apply_affine(to_world, voxels) @ np.linalg.inv(directions).T
    low, high = along.min(axis=0) - MARGIN, along.max(axis=0) + MARGIN
    affine = np.eye(4)
    affine[:3, :3] = SPACING * directions
    affine[:3, 3] = directions @ low
    shape = np.ceil((high - low) / SPACING).astype(int) + 1
    return Grid(tuple(int(n) for n in shape), affine)


def _orientation(affine: np.ndarray, pe_direction: str) -> tuple[list[int], np.ndarray]:
    """Array axes in the network's order, and which of them it sees mirrored."""
    world, flips = nib.io_orientation(affine).T
    phase, sign = pe_axis_sign(pe_direction)
    others = sorted((a for a in range(3) if a != phase), key=lambda a: world[a])
    return [phase, *others], np.array([sign, *flips[others]])


def _even(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Image with mean 1 inside a mask, and 0 outside: what a compression still multiplies."""
    inside = image[mask]
    mean = float(inside.mean()) if inside.size else 0.0
    return np.where(mask, image / mean, 0).clip(0, 5) if mean > 0 else np.zeros_like(image)
