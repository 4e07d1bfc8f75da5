"""Can a T1w be made for people who have only FA and b0? What their b0 tells of white matter.

    python benchmarks/measured_fa.py DATA/fa_measured

The anatomy network looks at every b0. A T1w simulated from what it finds would teach a generator
the FA of that person only if the white matter found were theirs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.anatomy.segment import ALL_WHITE, brain_of, find_structures
from bids_gan.geometry import box_grid, resample, to_ras
from bids_gan.models.registry import find_card, load_model


def agreement(b0_path: Path, fa_path: Path, network) -> tuple[float, float, float]:
    """Brain volume (ml), correlation of FA with white matter found, and with the b0 itself."""
    b0, fa = to_ras(nib.load(b0_path)), nib.load(fa_path)
    data = np.asarray(b0.dataobj, np.float32)
    foreground = data > 0.1 * np.percentile(data, 99)
    shape, grid = box_grid(foreground, b0.affine, 1.0, 2.0)
    head = np.maximum(resample(data, b0.affine, shape, grid, order=3), 0)
    structures = find_structures(network, head / np.percentile(head[head > head.mean()], 50))
    brain = brain_of(structures)
    measured = resample(np.asarray(fa.dataobj, np.float32), fa.affine, shape, grid)[brain]
    white = np.isin(structures, ALL_WHITE)[brain]
    return (
        brain.sum() / 1000,
        float(np.corrcoef(white, measured)[0, 1]),
        float(np.corrcoef(head[brain], measured)[0, 1]),
    )


def main() -> None:
    """Print a row a map."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of *_b0.nii.gz and *_FA.nii.gz")
    options = parser.parse_args()
    network = load_model(find_card("anatomy")).network
    print("| map | brain ml | r of FA with white matter found | r of FA with b0 |")
    print("|---|---|---|---|")
    rows = []
    for path in sorted(options.folder.glob("*_b0.nii.gz")):
        fa = path.with_name(path.name.replace("_b0", "_FA"))
        rows.append(agreement(path, fa, network))
        name = path.name.removesuffix("_b0.nii.gz")
        print(row(name, *rows[-1]), flush=True)
    print(row("median", *np.median(rows, axis=0)))


def row(name: str, volume: float, white: float, b0: float) -> str:
    """Lay out one line of the table."""
    return f"| {name} | {volume:.0f} | {white:.2f} | {b0:.2f} |"


if __name__ == "__main__":
    main()
