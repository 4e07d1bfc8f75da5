"""A simulated person: the MNI152 brain, seen through a random smooth deformation.

Every quantity that a scanner would measure is known at every voxel, so that a correction can be
judged in millimetres. T1w contrast and tissue come from the template that nilearn carries;
anisotropy comes from the shape of its white matter and a coarse map of bundles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_gan.geometry import box_grid
from bids_gan.simulate.tracts import bundle_lines, fibre_pattern

# relative spin-echo EPI signal without diffusion weighting, and mean diffusivity in mm²/s
TISSUE_S0 = {"csf": 1.0, "grey": 0.52, "white": 0.40}
TISSUE_MD = {"csf": 2.9e-3, "grey": 0.85e-3, "white": 0.72e-3}
TISSUE_FA = {"csf": 0.06, "grey": 0.15}


@dataclass(frozen=True)
class Person:
    """One simulated head without a skull, on an axis-aligned RAS+ grid of isotropic voxels.

    Attributes
    ----------
    affine : (4, 4) array
        Voxel to world, mm.
    t1w : (I, J, K) float32 array
        T1-weighted image with bias field and noise, arbitrary units, zero outside the brain.
    mask : (I, J, K) bool array
        True brain, cerebrospinal fluid included.
    white : (I, J, K) float32 array
        White-matter fraction.
    fa, md, s0 : (I, J, K) float32 array
        Fractional anisotropy, mean diffusivity (mm²/s) and signal without diffusion weighting
        (arbitrary units, 1000 in fluid).
    direction : (I, J, K, 3) float32 array
        Principal fibre direction, unit vector in world axes; zero outside white matter.
    """

    affine: np.ndarray
    t1w: np.ndarray
    mask: np.ndarray
    white: np.ndarray
    fa: np.ndarray
    md: np.ndarray
    s0: np.ndarray
    direction: np.ndarray


def simulate_person(seed: int = 0, spacing: float = 1.0) -> Person:
    """Simulate one person.

    Parameters
    ----------
    seed : int
        The same seed gives the same person.
    spacing : float
        Voxel size in mm.

    Returns
    -------
    Person

    Notes
    -----
    The head differs from the template by up to 5 % in each extent, a few degrees of tilt and a
    smooth displacement of 2.5 mm (standard deviation along each axis).
    """
    rng = np.random.default_rng(seed)
    template, template_affine = _load_template()
    matrix = _random_affine(rng)
    wobble, wobble_affine = _random_displacement(rng)

    # grid of the person: where the brain of the template lands, with room for the displacement
    head_affine = np.linalg.inv(matrix) @ template_affine
    shape, affine = box_grid(template["t1w"] > 0, head_affine, spacing=spacing, margin=10.0)
    coordinates = _template_voxels(
        shape, affine, matrix, wobble, wobble_affine, np.linalg.inv(template_affine)
    )
    t1w, grey, white = (
        ndimage.map_coordinates(template[name], coordinates, order=1)
        for name in ("t1w", "grey", "white")
    )
    mask = ndimage.binary_fill_holes(t1w > 0.1)
    fluid, grey, white = _fractions(mask, grey, white)
    lines = [
        (radius, _into_person(points, matrix, wobble, wobble_affine))
        for radius, points in bundle_lines()
    ]
    direction, coherence = fibre_pattern(white, affine, lines)
    fa = (
        TISSUE_FA["csf"] * fluid
        + TISSUE_FA["grey"] * grey
        + white_matter_fa(white, coherence, spacing) * white
    )
    md, s0 = (
        sum(values[name] * part for name, part in zip(values, (fluid, grey, white), strict=True))
        for values in (TISSUE_MD, TISSUE_S0)
    )
    return Person(
        affine=affine,
        t1w=_acquire_t1w(rng, t1w, mask),
        mask=mask,
        white=white,
        fa=fa,
        md=md,
        s0=1000 * s0,
        direction=direction,
    )


def _load_template() -> tuple[dict[str, np.ndarray], np.ndarray]:
    # nilearn is slow to import, and these files come with it: nothing is downloaded
    from nilearn import datasets

    images = {
        "t1w": datasets.load_mni152_template(resolution=1),
        "grey": datasets.load_mni152_gm_template(resolution=1),
        "white": datasets.load_mni152_wm_template(resolution=1),
    }
    arrays = {name: np.asarray(img.dataobj, np.float32) for name, img in images.items()}
    return arrays, images["t1w"].affine


def _random_affine(rng: np.random.Generator) -> np.ndarray:
    """Person world to MNI world: stretch of 5 %, tilt of about 3°, shift of some millimetres."""
    matrix = np.eye(4)
    tilt = Rotation.from_euler("xyz", rng.normal(0, 3, 3), degrees=True).as_matrix()
    matrix[:3, :3] = tilt @ np.diag(1 + rng.uniform(-0.05, 0.05, 3))
    matrix[:3, 3] = rng.normal(0, 5, 3)
    return matrix


def _random_displacement(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random displacement in mm on a 6 mm MNI grid, with the affine of that grid."""
    shape = (44, 50, 44)
    noise = rng.standard_normal((3, *shape)).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, (0, 3.5, 3.5, 3.5), mode="wrap")
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = (-132, -166, -120)
    return smooth * (2.5 / smooth.std()), affine


def _template_voxels(shape, affine, matrix, wobble, wobble_affine, to_voxel) -> np.ndarray:
    """Where each voxel of the person is read from, in voxels of the template: (3, I, J, K)."""
    index = np.indices(shape, dtype=np.float32)

    def mapped(m, points):
        m = m.astype(np.float32)  # keeps the large arrays in single precision
        return np.tensordot(m[:3, :3], points, 1) + m[:3, 3, None, None, None]

    world = mapped(matrix @ affine, index)
    knots = mapped(np.linalg.inv(wobble_affine), world)
    for axis in range(3):
        world[axis] += ndimage.map_coordinates(wobble[axis], knots, order=1, mode="nearest")
    return mapped(to_voxel, world)


def _into_person(points, matrix, wobble, wobble_affine) -> np.ndarray:
    """Carry MNI points into the person: the inverse of the pull, by fixed-point iteration."""
    to_knots = np.linalg.inv(wobble_affine)
    moved = points.copy()
    for _ in range(15):
        knots = (moved @ to_knots[:3, :3].T + to_knots[:3, 3]).T
        shift = [ndimage.map_coordinates(w, knots, order=1, mode="nearest") for w in wobble]
        moved = points - np.stack(shift, axis=1)
    back = np.linalg.inv(matrix)
    return moved @ back[:3, :3].T + back[:3, 3]


def _fractions(mask, grey, white) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tissue fractions that sum to one in the mask; what is neither grey nor white is fluid.

    The template averages 152 people and is blurred; squaring the probabilities undoes part of it.
    """
    fluid = np.clip(1 - grey - white, 0, 1)
    parts = np.stack([fluid, grey, white]) ** 2
    return tuple(parts * (mask / np.maximum(parts.sum(axis=0), 1e-6)))


def white_matter_fa(white: np.ndarray, coherence: np.ndarray, spacing: float) -> np.ndarray:
    """Anisotropy that pure white matter would have: coherent and deep is high, near cortex low."""
    depth = spacing * ndimage.distance_transform_edt(white > 0.5).astype(np.float32)
    core = 1 - np.exp(-ndimage.gaussian_filter(depth, 1.0 / spacing) / 2.5)
    return 0.22 + 0.62 * coherence**1.5 * (0.35 + 0.65 * core)


def _acquire_t1w(rng, contrast, mask) -> np.ndarray:
    """Bias field of about ±15 % and Rician noise on the template's contrast."""
    waves = sum(
        rng.normal(0, 0.08) * np.cos(np.pi * (grid + rng.uniform(-1, 1)))
        for grid in np.meshgrid(
            *(np.linspace(-1, 1, n) for n in mask.shape), indexing="ij", sparse=True
        )
    )
    signal = 600 * contrast * np.exp(waves)
    real, imaginary = 9 * rng.standard_normal((2, *mask.shape), np.float32)
    return (np.hypot(signal + real, imaginary) * mask).astype(np.float32)
