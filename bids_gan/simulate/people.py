"""New people from a label map: random shape, then images of any contrast by physics.

Every image is rendered from a table that gives each label a value. The table is looked up on the
1 mm label map, filtered to the new voxel size, and read at the deformed positions. All of this is
linear, so a voxel gets the mean over the tissues it holds: partial volume, not a blurred image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_gan.simulate.attenuation import hounsfield_table, scan_ct
from bids_gan.simulate.composition import (
    SOFT_FAT,
    SOFT_MUSCLE,
    SOFT_TISSUE,
    TABLE_SIZE,
    TISSUES,
    label_composition,
)
from bids_gan.simulate.head import Head, brain_mask
from bids_gan.simulate.labels import FIRST_OUTSIDE
from bids_gan.simulate.person import TISSUE_FA
from bids_gan.simulate.physics import Pulses, Relaxation, label_signal
from bids_gan.simulate.uptake import fdg_table, scan_pet

#: standard deviation in mm that turns the steps of a 1 mm label map into a smooth surface
_SURFACE = 0.55
#: standard deviation of displacement and of its smoothness, mm
_DISPLACEMENTS = ((3.0, 24.0), (0.8, 9.0))
#: distance of the points between which the displacement is interpolated, mm
_KNOT = 4.0


@dataclass(frozen=True)
class SimulatedPerson:
    """Anatomy of a person who does not exist, on a RAS+ grid of isotropic voxels.

    Attributes
    ----------
    head : Head
        The label map from which this person was made.
    affine : (4, 4) array
        Voxel to world, mm; the middle of the brain is within some mm of the origin.
    positions : (I, J, K, 3) float32 array
        Voxel of the label map that each voxel shows.
    labels : (I, J, K) int16 array
        FreeSurfer label values, left and right merged; 500 and more are outside the brain.
    brain : (I, J, K) bool array
        Brain with the fluid around it.
    """

    head: Head
    affine: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    brain: np.ndarray

    @property
    def spacing(self) -> float:
        """Voxel size in mm."""
        return float(self.affine[0, 0])

    def render(self, table: np.ndarray) -> np.ndarray:
        """Mean over each voxel of the values that `table` (1024,) gives the labels."""
        table = np.asarray(table, np.float32)
        return self.sample(table[self.head.labels], outside=float(table[0]))

    def sample(self, volume: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """Read a volume on the label map's grid with the filter of this person's voxels."""
        sigma = np.hypot(_SURFACE, np.sqrt(max(self.spacing**2 - 1, 0) / (8 * np.log(2))))
        smooth = ndimage.gaussian_filter(
            volume - np.float32(outside), sigma, truncate=3.0, mode="nearest"
        )
        return _interpolate(smooth, self.positions, "bilinear") + np.float32(outside)


def new_person(head: Head, rng: np.random.Generator, spacing: float = 1.0) -> SimulatedPerson:
    """Draw a person: other size, tilt, place and shape, in half of the cases mirrored.

    Parameters
    ----------
    head : Head
    rng : Generator
    spacing : float
        Voxel size in mm.

    Notes
    -----
    Sizes differ by 7 % (standard deviation; 5 % along each axis alone), tilts by 4°, and a
    displacement is added that is smooth over 24 mm (3 mm) and over 9 mm (0.8 mm).
    """
    shape = np.ceil((np.array(head.labels.shape) + 8) / spacing).astype(int)
    scale = np.exp(np.clip(rng.normal(0, 0.05), -0.12, 0.12) + rng.normal(0, 0.03, 3))
    turn = Rotation.from_euler("xyz", rng.normal(0, 4, 3), degrees=True).as_matrix()
    side = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
    matrix = spacing * turn @ side @ np.diag(scale)
    # the middle of the brain stays at the same share of the grid
    middle = head.centre / np.array(head.labels.shape) * shape
    if side[0, 0] < 0:
        middle[0] = shape[0] - 1 - middle[0]
    voxels = [torch.arange(n, dtype=torch.float32) for n in shape]
    index = torch.stack(torch.meshgrid(*voxels, indexing="ij"), dim=-1)
    offset = head.centre - matrix @ middle
    positions = index @ torch.as_tensor(matrix.T, dtype=torch.float32)
    positions += torch.as_tensor(offset, dtype=torch.float32)
    positions += _displacement(rng, shape, spacing)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = rng.normal(0, 4, 3) - spacing * middle
    positions = positions.numpy()
    whole = head.labels.astype(np.float32)
    labels = _interpolate(whole, positions, "nearest").astype(np.int16)
    labels[np.isin(labels, (SOFT_FAT, SOFT_MUSCLE))] = SOFT_TISSUE
    return SimulatedPerson(head, affine, positions, labels, brain_mask(labels, spacing))


def tissue_maps(person: SimulatedPerson) -> dict[str, np.ndarray]:
    """Fraction of fluid, grey matter, white matter and bone in every voxel.

    Returns
    -------
    dict of (I, J, K) float32 arrays
        Keys ``CSF``, ``GM``, ``WM``, ``bone``. The rest of a voxel is other tissue or air.
    """
    composition = label_composition()

    def fraction(*tissues, brain=True):
        table = composition[:, [TISSUES.index(tissue) for tissue in tissues]].sum(axis=1)
        if brain:
            table = np.where(np.arange(TABLE_SIZE) < FIRST_OUTSIDE, table, 0)
        return person.render(table)

    return {
        "CSF": fraction("csf"),
        "GM": fraction("grey", "pallidum"),
        "WM": fraction("white", "lesion"),
        "bone": fraction("cortical bone", "marrow", brain=False),
    }


def simulate_fa(person: SimulatedPerson, tissues: dict[str, np.ndarray]) -> np.ndarray:
    """FA of a person: a simulation, neither measured nor fitted to measurements.

    White matter has the pattern of :mod:`bids_gan.simulate.tracts` (coarse bundles placed by an
    affine fit to MNI space, coherence that drops at crossings); fluid and grey matter have
    constants. Voxels mix them by their fractions.

    Parameters
    ----------
    person : SimulatedPerson
    tissues : dict
        As from :func:`tissue_maps`.

    Returns
    -------
    (I, J, K) float32 array in [0, 1]
    """
    weighted = person.head.white_fa.astype(np.float32)
    white = label_composition()[:, TISSUES.index("white")].astype(np.float32)
    fa = person.sample(weighted * white[person.head.labels])
    fa += TISSUE_FA["csf"] * tissues["CSF"] + TISSUE_FA["grey"] * tissues["GM"]
    return np.clip(fa, 0, 1)


def simulate_mr(
    person: SimulatedPerson,
    pulses: Pulses,
    tissue: Relaxation,
    rng: np.random.Generator,
    fat_suppression: float = 0.0,
) -> np.ndarray:
    """Magnitude image without noise and without a bias field.

    Parameters
    ----------
    person : SimulatedPerson
    pulses : Pulses
    tissue : Relaxation
    rng : Generator
        Draws how structures of one tissue differ (2 %) and how tissue varies in space (2 %).
    fat_suppression : float
        Share of the signal of fat and marrow that is lost.

    Returns
    -------
    (I, J, K) float32 array
        White matter is 1000.
    """
    table = label_signal(pulses, tissue)
    if fat_suppression:
        fatty = label_composition()[:, [TISSUES.index("fat"), TISSUES.index("marrow")]]
        table = table * (1 - fat_suppression * fatty.sum(axis=1))
    table = 1000 * table / abs(table[2]) * np.exp(rng.normal(0, 0.02, TABLE_SIZE))
    grain = rng.standard_normal([-(-n // 2) for n in person.labels.shape], np.float32)
    grain = ndimage.gaussian_filter(grain, 1.5 / person.spacing)
    grain *= 0.02 / grain.std()
    variation = grain.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    window = tuple(slice(n) for n in person.labels.shape)
    return np.abs(person.render(table) * (1 + variation[window]))


def simulate_pet(
    person: SimulatedPerson, rng: np.random.Generator, fwhm: float, counts: float
) -> np.ndarray:
    """FDG uptake relative to the cerebellum, as a scanner shows it."""
    spacing = np.full(3, person.spacing)
    return scan_pet(person.render(fdg_table(rng)), spacing, rng, fwhm, counts)


def simulate_ct(person: SimulatedPerson, rng: np.random.Generator) -> np.ndarray:
    """CT in Hounsfield units."""
    return scan_ct(person.render(hounsfield_table(rng)), np.full(3, person.spacing), rng)


def _interpolate(volume: np.ndarray, positions: np.ndarray, mode: str) -> np.ndarray:
    """Read `volume` at voxel positions (..., 3); zero outside."""
    size = torch.tensor(volume.shape, dtype=torch.float32)
    relative = torch.as_tensor(positions) * (2 / (size - 1)) - 1
    values = torch.nn.functional.grid_sample(
        torch.as_tensor(volume)[None, None],
        relative.flip(-1)[None],  # torch wants the fastest axis first
        mode=mode,
        padding_mode="zeros",
        align_corners=True,
    )
    return values[0, 0].numpy()


def _displacement(rng: np.random.Generator, shape: np.ndarray, spacing: float) -> torch.Tensor:
    """Smooth random displacement in mm, (I, J, K, 3)."""
    knots = [int(np.ceil(n * spacing / _KNOT)) + 1 for n in shape]
    total = np.zeros((3, *knots), np.float32)
    for size, smoothness in _DISPLACEMENTS:
        noise = rng.standard_normal((3, *knots), np.float32)
        smooth = ndimage.gaussian_filter(
            noise, (0, *(smoothness / np.sqrt(2) / _KNOT,) * 3), mode="wrap"
        )
        total += smooth * (size / smooth.std())
    dense = torch.nn.functional.interpolate(
        torch.as_tensor(total)[None], size=tuple(int(n) for n in shape), mode="trilinear",
        align_corners=True,
    )  # fmt: skip
    return dense[0].movedim(0, -1)
