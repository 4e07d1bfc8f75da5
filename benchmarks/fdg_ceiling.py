"""The best that any generator can do against a simulated FDG image.

    python benchmarks/fdg_ceiling.py SIMULATED

The true labels of each person with the uptake of the mean person, blurred as the scanner blurs:
what remains is the noise of the scan and how far the person's uptake is from the mean, which no
T1w tells.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.evaluate.metrics import linear_calibration, psnr
from bids_gan.geometry import resample, voxel_sizes
from bids_gan.simulate.uptake import fdg_table


def ceiling(pet_path: Path, truth: Path) -> tuple[float, float]:
    """Correlation and PSNR (dB) of the mean person's uptake with one person's image."""
    label = truth.name
    pet = nib.load(pet_path)
    measured = np.asarray(pet.dataobj, np.float32)
    fwhm = json.loads(pet_path.with_name(pet_path.name.replace(".nii.gz", ".json")).read_text())
    labels = nib.load(truth / f"anat/{label}_dseg.nii.gz")
    uptake = fdg_table()[np.asarray(labels.dataobj).astype(int)]
    sigma = fwhm["SimulatedPointSpreadFWHM"] / np.sqrt(8 * np.log(2)) / voxel_sizes(labels.affine)
    onto = (pet.shape, pet.affine)
    image = resample(
        ndimage.gaussian_filter(uptake.astype(np.float32), sigma), labels.affine, *onto
    )
    mask = nib.load(truth / f"anat/{label}_desc-brain_mask.nii.gz")
    inside = resample(np.asarray(mask.dataobj, np.float32), mask.affine, *onto, order=0) > 0.5
    fitted = linear_calibration(image, measured, inside)
    data_range = float(np.percentile(measured[inside], 99.9))
    r = np.corrcoef(image[inside], measured[inside])[0, 1]
    return float(r), psnr(fitted, measured, inside, data_range)


def main() -> None:
    """Print a row a person."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path, help="of `bids-gan-model simulate`, with FDG")
    options = parser.parse_args()
    print("| person | r | PSNR dB |", "|---|---|---|", sep="\n")
    rows = []
    for path in sorted(options.dataset.glob("sub-*/pet/*_pet.nii.gz")):
        label = path.name.split("_")[0]
        rows.append(ceiling(path, options.dataset / "derivatives/truth" / label))
        print(f"| {label} | {rows[-1][0]:.3f} | {rows[-1][1]:.2f} |")
    r, decibels = np.mean(rows, axis=0)
    print(f"| mean | {r:.3f} | {decibels:.2f} |")


if __name__ == "__main__":
    main()
