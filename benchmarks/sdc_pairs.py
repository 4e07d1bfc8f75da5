"""Fields from two images of opposite phase encoding, on simulated heads with a known field.

    python benchmarks/sdc_pairs.py LABELMAPS

LABELMAPS is the folder of whole-head label maps. Both images are made at 1 mm and averaged to the
voxels of the scan; the head moves in between.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from field_table import HEADINGS, before_and_after
from scipy import ndimage

from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.distortion.forward import distort
from bids_gan.distortion.opposite import Recorded, estimate_from_pair
from bids_gan.distortion.units import mm_per_hz
from bids_gan.geometry import box_around, resample
from bids_gan.simulate.artefacts import rician_noise
from bids_gan.simulate.epi import susceptibility_field
from bids_gan.simulate.labels import class_table, load_label_map
from bids_gan.simulate.physics import label_contrast

READOUT = 0.05
#: what fat saturation leaves of the signal outside the brain
OUTSIDE = 0.15


@dataclass(frozen=True)
class Scan:
    """Who is scanned how: label map, axis, voxels (mm), largest displacement (mm), noise."""

    person: str
    axis: str
    voxel: float
    peak_mm: float
    snr: float
    #: rotation (degrees) and translation (mm) of the head; none along the phase encoding
    move: tuple[float, ...]


SCANS = (
    Scan("17", "j", 2.0, 8, 25, (1.0, -0.5, 0.8, 1.0, 0.0, -1.0)),
    Scan("18", "i", 2.2, 14, 15, (0.6, 1.2, -0.6, 0.0, 1.0, 1.0)),
    Scan("19", "j", 2.5, 10, 25, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
    Scan("20", "j", 3.0, 12, 20, (-1.5, 0.5, 1.0, -1.0, 0.0, 2.0)),
    Scan("19", "k", 2.5, 6, 40, (0.5, 0.5, 0.5, 1.5, -1.0, 0.0)),
    Scan("20", "j", 2.0, 15, 10, (0.5, -1.0, 0.0, 0.5, 0.0, 0.5)),
)


@dataclass(frozen=True)
class Simulated:
    """Both images, the field on the grid of the first (Hz), its brain, the motion."""

    first: Recorded
    second: Recorded
    hz: np.ndarray
    brain: np.ndarray
    motion: np.ndarray


def simulate(label_maps: Path, scan: Scan, seed: int) -> Simulated:
    """Scan a head with both polarities."""
    rng = np.random.default_rng(seed)
    labels = load_label_map(next(label_maps.glob(f"*seg_{scan.person}.nii.gz")))
    box = box_around(class_table()[labels] > 0, 12)
    labels, fine = labels[box], np.eye(4)
    brain = class_table()[labels] > 0
    signal = label_contrast(rng, "b0")[labels] * np.where(brain, 1, OUTSIDE)
    signal = ndimage.gaussian_filter(signal.astype(np.float32), 0.7)
    # a shift of one coarse voxel is one of several fine ones
    seconds = READOUT * scan.voxel
    hz = susceptibility_field(brain, fine, scan.peak_mm, scan.axis, seconds, seed)
    shape = tuple(int(n / scan.voxel) for n in labels.shape)
    grid = np.diag([scan.voxel] * 3 + [1.0])
    grid[:3, 3] = (scan.voxel - 1) / 2
    turn = np.r_[np.deg2rad(scan.move[:3]), scan.move[3:]]
    motion = rigid_matrix(turn, np.array(labels.shape) / 2)

    def recorded(direction: str, head: np.ndarray) -> Recorded:
        pull = np.linalg.inv(head)
        there = resample(signal, fine, signal.shape, fine, target_to_source=pull)
        field = resample(hz, fine, hz.shape, fine, target_to_source=pull, mode="nearest")
        seen = resample(distort(there, field, direction, seconds), fine, shape, grid)
        noisy = rician_noise(seen, float(signal[brain].mean()) / scan.snr, rng)
        return Recorded(nib.Nifti1Image(noisy.astype(np.float32), grid), direction, READOUT)

    return Simulated(
        recorded(scan.axis, np.eye(4)),
        recorded(f"{scan.axis}-", motion),
        resample(hz, fine, shape, grid),
        resample(brain.astype(np.float32), fine, shape, grid) > 0.5,
        motion,
    )


def rows(label_maps: Path) -> Iterator[str]:
    """Errors of each scan."""
    for seed, scan in enumerate(SCANS):
        truth = simulate(label_maps, scan, seed)
        start = time.perf_counter()
        found = estimate_from_pair(truth.first, truth.second)
        seconds = time.perf_counter() - start
        mm = mm_per_hz(truth.first.image.affine, scan.axis, READOUT)
        size = np.abs(truth.hz[truth.brain]) * mm
        error = np.abs(found.hz - truth.hz)[truth.brain] * mm
        left = found.motion @ np.linalg.inv(truth.motion)
        centre = np.array(truth.brain.shape) * scan.voxel / 2
        turn = np.rad2deg(np.linalg.norm(rigid_parameters(left, centre)[:3]))
        yield (
            f"| {scan.person} | {scan.axis} | {scan.voxel} | {scan.snr} "
            f"| {before_and_after(size, error)} | {turn:.2f} | {seconds:.0f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    options = parser.parse_args()
    print(f"| head | axis | voxel mm | SNR | {HEADINGS} | rotation left ° | s |")
    print("|---" * 9 + "|")
    for row in rows(options.label_maps):
        print(row, flush=True)


if __name__ == "__main__":
    main()
