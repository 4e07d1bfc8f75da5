"""Fields from a gradient echo's phase difference, on simulated heads with a known field.

    python benchmarks/sdc_measured.py LABELMAPS

LABELMAPS is the folder of whole-head label maps. Magnitude and phase are made at 1 mm, with what
lies outside the brain as far off resonance as fat, averaged as complex signal to the voxels of the
scan (which is where signal is lost), and given noise. The head lies where the headers say.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from field_table import HEADINGS, before_and_after
from scipy import ndimage

from bids_gan.distortion.measured import INSIDE
from bids_gan.distortion.measurement import Measurement, clean_field
from bids_gan.geometry import box_around, resample
from bids_gan.simulate.epi import susceptibility_field
from bids_gan.simulate.labels import class_table, load_label_map
from bids_gan.simulate.physics import label_contrast

#: of the diffusion run that the errors in mm are for: phase-encoding readout (s) and voxel (mm)
READOUT, VOXEL_MM = 0.05, 2.5
#: fat resonates 3.5 ppm below water, 440 Hz at 3 T
FAT_HZ = -440.0


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


def simulate(
    label_maps: Path, scan: Scan, seed: int
) -> tuple[Measurement, np.ndarray, np.ndarray]:
    """Measurement, share of brain in its voxels, and true field in Hz."""
    rng = np.random.default_rng(seed)
    labels = load_label_map(next(label_maps.glob(f"*seg_{scan.person}.nii.gz")))
    labels = labels[box_around(class_table()[labels] > 0, 20)]
    brain = class_table()[labels] > 0
    hz = susceptibility_field(brain, np.eye(4), scan.peak_mm, "j", READOUT * VOXEL_MM, seed)
    seen = np.where(brain | (labels == 0), hz, hz + FAT_HZ)
    signal = ndimage.gaussian_filter(label_contrast(rng, "T1w")[labels].astype(np.float32), 0.5)
    grid = np.diag([scan.voxel] * 3 + [1.0])
    grid[:3, 3] = (scan.voxel - 1) / 2
    shape = tuple(int(n / scan.voxel) for n in labels.shape)
    sigma = float(signal[brain].mean()) / scan.snr

    def echo(seconds: float) -> np.ndarray:
        turned = signal * np.exp(2j * np.pi * seen * seconds)
        parts = [resample(part, np.eye(4), shape, grid) for part in (turned.real, turned.imag)]
        noise = sigma * rng.standard_normal((2, *shape))
        return parts[0] + noise[0] + 1j * (parts[1] + noise[1])

    first, second = (echo(seconds) for seconds in scan.echo_times)
    delta = scan.echo_times[1] - scan.echo_times[0]
    measurement = Measurement(np.angle(second * first.conj()), np.abs(first), grid, delta)
    share = resample(brain.astype(np.float32), np.eye(4), shape, grid)
    return measurement, share, resample(hz, np.eye(4), shape, grid)


def rows(label_maps: Path) -> Iterator[str]:
    """Errors of each scan."""
    for seed, scan in enumerate(SCANS):
        measurement, share, truth = simulate(label_maps, scan, seed)
        start = time.perf_counter()
        field = clean_field(measurement, share > INSIDE)
        seconds = time.perf_counter() - start
        margin = [(n - m) // 2 for n, m in zip(field.hz.shape, truth.shape, strict=True)]
        inner = tuple(slice(m, m + n) for m, n in zip(margin, truth.shape, strict=True))
        brain = share > 0.5
        mm = READOUT * VOXEL_MM
        error = np.abs(field.hz[inner] - truth)[brain] * mm
        size = np.abs(truth)[brain] * mm
        yield (
            f"| {scan.person} | {scan.voxel} | {1000 * measurement.delta_te:.2f} | {scan.snr} "
            f"| {before_and_after(size, error)} | {field.known[inner][brain].mean():.0%} "
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
