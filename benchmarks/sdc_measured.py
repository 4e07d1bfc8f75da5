"""Fields from a gradient echo's phase difference, on simulated heads with a known field.

    python benchmarks/sdc_measured.py LABELMAPS

LABELMAPS is the folder of whole-head label maps. The field is that of the head's own air, bone
and fat, shimmed, scaled to the largest displacement. Magnitude and phase are made at 1 mm, fat and
marrow off resonance, averaged as complex signal to the voxels of the scan (which is where signal
is lost), and given noise. The head lies a little off from where the headers say, and the brain
mask is wrong by a millimetre here and there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from field_table import HEADINGS, before_and_after
from scipy import ndimage

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.measured import INSIDE
from bids_gan.distortion.measurement import Measurement, clean_field
from bids_gan.geometry import resample
from bids_gan.simulate.composition import TISSUES, label_composition
from bids_gan.simulate.head import brain_mask, prepare_head
from bids_gan.simulate.labels import load_label_map
from bids_gan.simulate.physics import label_contrast
from bids_gan.simulate.susceptibility import dipole_field, shimmed, susceptibility_table

#: of the diffusion run that the errors in mm are for: phase-encoding readout (s) and voxel (mm)
READOUT, VOXEL_MM = 0.05, 2.5
#: fat resonates 3.5 ppm below water, 440 Hz at 3 T
FAT_HZ = -440.0
#: error of the mask's surface, mm; move of the head since the T1w, degrees and mm
EDGE_MM, OFF = 0.8, 0.4


@dataclass(frozen=True)
class Scan:
    """Who is scanned how: label map, voxels and largest displacement in mm, echoes in s, noise."""

    person: str
    voxel: float
    peak_mm: float
    echo_times: tuple[float, float]
    snr: float


SCANS = (
    Scan("17", 3.4, 8, (0.0100, 0.01246), 50),
    Scan("18", 3.0, 14, (0.00492, 0.00738), 30),
    Scan("19", 2.5, 10, (0.00492, 0.00738), 20),
    Scan("20", 3.4, 15, (0.0100, 0.01246), 20),
    Scan("20", 3.0, 6, (0.0050, 0.0060), 50),
)


@dataclass(frozen=True)
class Simulated:
    """Measurement, brain mask by the T1w, true brain, and true field in Hz."""

    measurement: Measurement
    mask: np.ndarray
    brain: np.ndarray
    hz: np.ndarray


@cache
def head_and_field(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, brain and shimmed field (Hz) of a head at 1 mm."""
    labels = prepare_head(load_label_map(path)).labels
    brain = brain_mask(labels)
    return labels, brain, shimmed(dipole_field(susceptibility_table()[labels], 1.0), brain, 2)


def mistaken(brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brain mask whose surface is off by 0.8 mm (standard deviation), in patches."""
    depth = ndimage.distance_transform_edt(brain) - ndimage.distance_transform_edt(~brain)
    patches = ndimage.gaussian_filter(rng.standard_normal(brain.shape, np.float32), 6)
    return depth + EDGE_MM * patches / patches.std() > 0


def simulate(label_maps: Path, scan: Scan, seed: int) -> Simulated:
    """Scan a head."""
    rng = np.random.default_rng(seed)
    labels, brain, hz = head_and_field(next(label_maps.glob(f"*seg_{scan.person}.nii.gz")))
    hz = hz * scan.peak_mm / (np.percentile(np.abs(hz[brain]), 99) * READOUT * VOXEL_MM)
    signal = ndimage.gaussian_filter(label_contrast(rng, "T1w")[labels].astype(np.float32), 0.5)
    fatty = label_composition()[:, [TISSUES.index("fat"), TISSUES.index("marrow")]]
    fat = fatty.sum(axis=1)[labels]
    grid = np.diag([scan.voxel] * 3 + [1.0])
    grid[:3, 3] = (scan.voxel - 1) / 2
    shape = tuple(int(n / scan.voxel) for n in labels.shape)
    sigma = float(signal[brain].mean()) / scan.snr

    def turned(hertz, seconds: float) -> np.ndarray:
        return np.exp(2j * np.pi * hertz * seconds)

    def echo(seconds: float) -> np.ndarray:
        whole = signal * turned(hz, seconds) * (1 - fat + fat * turned(FAT_HZ, seconds))
        parts = [resample(part, np.eye(4), shape, grid) for part in (whole.real, whole.imag)]
        noise = sigma * rng.standard_normal((2, *shape))
        return parts[0] + noise[0] + 1j * (parts[1] + noise[1])

    first, second = (echo(seconds) for seconds in scan.echo_times)
    delta = scan.echo_times[1] - scan.echo_times[0]
    move = np.r_[np.deg2rad(rng.normal(0, OFF, 3)), rng.normal(0, OFF, 3)]
    pull = rigid_matrix(move, np.array(labels.shape) / 2)
    masks = [m.astype(np.float32) for m in (mistaken(brain, rng), brain)]
    share = resample(masks[0], np.eye(4), shape, grid, target_to_source=pull)
    return Simulated(
        Measurement(np.angle(second * first.conj()), np.abs(first), grid, delta),
        share > INSIDE,
        resample(masks[1], np.eye(4), shape, grid) > 0.5,
        resample(hz, np.eye(4), shape, grid),
    )


def rows(label_maps: Path) -> Iterator[str]:
    """Errors of each scan."""
    for seed, scan in enumerate(SCANS):
        run = simulate(label_maps, scan, seed)
        start = time.perf_counter()
        field = clean_field(run.measurement, run.mask)
        seconds = time.perf_counter() - start
        margin = [(n - m) // 2 for n, m in zip(field.hz.shape, run.hz.shape, strict=True)]
        inner = tuple(slice(m, m + n) for m, n in zip(margin, run.hz.shape, strict=True))
        mm = READOUT * VOXEL_MM
        error = np.abs(field.hz[inner] - run.hz)[run.brain] * mm
        size = np.abs(run.hz)[run.brain] * mm
        yield (
            f"| {scan.person} | {scan.voxel} | {1000 * run.measurement.delta_te:.2f} | {scan.snr} "
            f"| {before_and_after(size, error)} | {field.known[inner][run.brain].mean():.0%} "
            f"| {seconds:.0f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    options = parser.parse_args()
    print(f"| head | voxel mm | ΔTE ms | SNR | {HEADINGS} | measured in | s |")
    print("|---" * 9 + "|")
    for row in rows(options.label_maps):
        print(row, flush=True)


if __name__ == "__main__":
    main()
