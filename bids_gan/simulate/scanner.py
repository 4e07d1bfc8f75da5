"""Scanners with one protocol each, and what two of them show of one head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bids_gan.gan.training.augment import smooth_noise
from bids_gan.geometry import mask_bounds
from bids_gan.simulate.artefacts import rician_noise, thick_slices
from bids_gan.simulate.contrasts import WHITE_MATTER, ContrastPatches, WholeBrains
from bids_gan.simulate.patches import soften
from bids_gan.simulate.physics import Pulses, jitter_relaxation, label_signal, relaxation

#: distance over which the sensitivity of a receive coil changes, mm
COIL_MM = 100
#: edge of a cube that holds every brain, mm
BRAIN = 192


@dataclass(frozen=True)
class Scanner:
    """A pulse sequence that never changes, and what coil, slices and noise make of its images.

    Attributes
    ----------
    field_strength : float
        Tesla, one of :data:`bids_gan.simulate.physics.FIELD_STRENGTHS`.
    pulses : Pulses
    blur_mm : float
        Standard deviation of the point-spread function.
    slice_mm : float
        Thickness of the slices, which lie across the last axis; 1 at least.
    bias : float
        Standard deviation of the logarithm of the coil's sensitivity.
    noise : float
        Standard deviation in each channel, relative to the signal of white matter.

    Raises
    ------
    ValueError
        For slices thinner than a voxel, or a field strength or train of pulses that is none.
    """

    field_strength: float
    pulses: Pulses
    blur_mm: float = 0.5
    slice_mm: float = 1.0
    bias: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        if self.slice_mm < 1:
            raise ValueError(
                f"slice_mm = {self.slice_mm}: the voxels have 1 mm, no slice has less"
            )
        self.contrast(np.random.default_rng(0))

    def contrast(self, person: np.random.Generator, spread: float = 0.06) -> np.ndarray:
        """Mean intensity of every label, (1024,) array; white matter is 1, air 0.

        Parameters
        ----------
        person : Generator
            Draws the tissues of the person: the same state is the same person in every scanner.
        spread : float
            Standard deviation of the logarithm of their T1, T2 and T2*.
        """
        tissue = jitter_relaxation(relaxation(self.field_strength), person, spread)
        table = np.abs(label_signal(self.pulses, tissue))
        return table / table[WHITE_MATTER]

    def scan(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Put (1, p, p, p) of 1 mm voxels through point spread, slices, coil and noise."""
        sharp = soften(image, self.blur_mm)[0].numpy()
        slices, _ = thick_slices(sharp, np.eye(4), 2, self.slice_mm, resample_back=True)
        edge = len(slices)
        coil = smooth_noise(rng, edge, 1 + -(-edge // COIL_MM)).mul(self.bias).exp()
        seen = torch.as_tensor(slices).unsqueeze(0) * coil
        return torch.as_tensor(rician_noise(seen.numpy(), self.noise, rng), dtype=torch.float32)


class ScannerPatches(ContrastPatches):
    """Patches of a person in each of several scanners, in place of the sequences of one.

    Parameters
    ----------
    maps, patch, batch, seed
        See :class:`ContrastPatches`; patches have 1 mm voxels.
    scanners : sequence of Scanner
    """

    def __init__(
        self,
        maps: list[np.ndarray],
        patch: int,
        batch: int,
        scanners: Sequence[Scanner],
        seed: int = 0,
    ):
        super().__init__(maps, patch, batch, (), seed=seed)
        self.scanners = scanners

    def _images(self, labels: Tensor, mask: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        person = int(rng.integers(2**62))
        tables = [one.contrast(np.random.default_rng(person)) for one in self.scanners]
        texture = self._texture(rng)
        images = [
            one.scan(
                torch.as_tensor(table, dtype=torch.float32)[labels].unsqueeze(0) * texture, rng
            )
            for one, table in zip(self.scanners, tables, strict=True)
        ]
        return {"contrasts": torch.cat(images) * mask}


class ScannedBrains(WholeBrains, ScannerPatches):
    """Whole brains in each of several scanners, see :class:`ScannerPatches`."""


def whole_scan(
    label_map: np.ndarray, scanners: Sequence[Scanner], seed: int = 0
) -> dict[str, Tensor]:
    """One person in some scanners, without the empty space around the brain.

    Parameters
    ----------
    label_map : (I, J, K) int16 array
    scanners : sequence of Scanner
    seed : int
        Of the person, and of how the head lies.

    Returns
    -------
    dict
        ``contrasts`` (S, i, j, k), ``mask`` (1, i, j, k) and ``labels`` (i, j, k), see
        :meth:`ContrastPatches.render`.
    """
    scan = ScannedBrains([label_map], BRAIN, 1, scanners, seed).batch(0)
    low, high = mask_bounds(scan["mask"][0, 0].numpy() > 0)
    box = (..., *(slice(a, b + 1) for a, b in zip(low, high, strict=True)))
    return {key: value[0][box] for key, value in scan.items()}


class ScanPatches:
    """Random patches of whole scans, as they are or mirrored left to right.

    Parameters
    ----------
    scans : list of (S + 2, I, J, K) half tensors
        Images of one person, mask, classes; the first axis runs from left to right.
    patch : int
        Edge of the cube in voxels. Its middle lies in the mask; beyond the scan is zero.
    batch, seed : int

    Notes
    -----
    Nothing is interpolated: it would take away the noise by which scanners differ.
    """

    def __init__(self, scans: list[Tensor], patch: int, batch: int, seed: int = 0):
        half = patch // 2
        self.inside = [torch.nonzero(scan[-2, ::4, ::4, ::4] > 0).numpy() * 4 for scan in scans]
        self.scans = [F.pad(scan, (half, patch - half) * 3) for scan in scans]
        self.patch = patch
        self.size = batch
        self.seed = seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`, the keys of :func:`whole_scan` with (N, ...)."""
        rng = np.random.default_rng([self.seed, step])
        patches = torch.stack([self._patch(rng) for _ in range(self.size)]).float()
        return {
            "contrasts": patches[:, :-2],
            "mask": patches[:, -2:-1],
            "labels": patches[:, -1].long(),
        }

    def _patch(self, rng: np.random.Generator) -> Tensor:
        index = int(rng.integers(len(self.scans)))
        corner = self.inside[index][rng.integers(len(self.inside[index]))]
        place = (..., *(slice(start, start + self.patch) for start in corner))
        patch = self.scans[index][place]
        return patch.flip(1) if rng.random() < 0.5 else patch
