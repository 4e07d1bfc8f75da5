"""Score a finished run on ``xa30`` against the fields measured with both blips and with a GRE.

    bids-gan DATA/xa30 OUT participant --sdc synth --sdc-on-failure warn
    bids-gan DATA/xa30 OUT participant --sdc reverse-pe      # both blips together
    bids-gan DATA/xa30 OUT participant --sdc measured        # with the GRE field map
    python benchmarks/sdc_real.py OUT DATA/xa30_reference

*removed* is ``1 - mean|error| / mean|displacement|`` inside the evaluation mask; *strong* the same
where the displacement exceeds 3 mm. A field that the gate withdrew is scored too, and marked.

The images of the two blips are compared as they were written, then with PA brought onto AP by the
rigid motion between their corrected b0 (cubic interpolation), which the head may have made between
the scans, and then with both smoothed a little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.rigid import RigidAligner, rigid_parameters
from bids_gan.geometry import resample

READOUT, VOXEL = 0.0475693, 3.0
STRONG = 3.0


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, np.float32)


def field_row(out: Path, reference: Path, direction: str, mask: np.ndarray) -> str:
    """Errors of one blip's field."""
    fields = (out / "sub-01" / "fmap").glob(f"*{direction}_desc-*_fieldmap.nii.gz")
    (path,) = (p for p in fields if "desc-preproc" in p.name or "desc-rejected" in p.name)
    to_mm = READOUT * VOXEL
    truth = load(reference / "blip_pair_field_hz.nii.gz")[mask] * to_mm
    error = np.abs(load(path)[mask] * to_mm - truth)
    size = np.abs(truth)
    strong = size > STRONG
    verdict = "withdrawn by the gate" if "rejected" in path.name else "applied"
    return (
        f"| {direction} ({verdict}) | {np.median(size):.2f} → {np.median(error):.2f} "
        f"| {np.percentile(size, 95):.2f} → {np.percentile(error, 95):.2f} "
        f"| {100 * (1 - error.mean() / size.mean()):.0f} "
        f"| {100 * (1 - error[strong].mean() / size[strong].mean()):.0f} |"
    )


def blips(out: Path, kind: str) -> list[np.ndarray]:
    """Images of AP and PA as a run wrote them."""
    dwi = out / "sub-01" / "dwi"
    return [load(dwi / f"sub-01_dir-{d}_{kind}.nii.gz") for d in ("AP", "PA")]


def raw_b0(raw: Path) -> list[np.ndarray]:
    """Mean b=0 image of AP and PA as the scanner wrote them."""
    images = []
    for direction in ("AP", "PA"):
        stem = raw / "sub-01" / "dwi" / f"sub-01_dir-{direction}_dwi"
        unweighted = np.loadtxt(stem.with_suffix(".bval")) <= 50
        images.append(load(stem.with_suffix(".nii.gz"))[..., unweighted].mean(-1))
    return images


def agreement(images: list[np.ndarray], mask: np.ndarray) -> float:
    """Correlation of two images."""
    return float(np.corrcoef(*(image[mask] for image in images))[0, 1])


def head_motion(b0: list[np.ndarray], affine: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pull matrix from AP to PA; it is printed."""
    wide = ndimage.binary_dilation(mask, iterations=2)
    aligner = RigidAligner(b0[0], wide, affine)
    matrix = aligner.align(b0[1]).matrix
    move = rigid_parameters(matrix, aligner.centre)
    turn = np.rad2deg(np.linalg.norm(move[:3]))
    print(f"\nPA onto AP: {turn:.2f} degrees, {np.linalg.norm(move[3:]):.2f} mm")
    return matrix


def agreement_rows(out: Path, raw: Path, mask_file: Path) -> None:
    """Print how well the blips agree, before and after, and where they do not."""
    affine, mask = nib.load(mask_file).affine, load(mask_file) > 0
    b0, before, fa = blips(out, "dwiref"), raw_b0(raw), blips(out, "desc-preproc_FA")
    pull = head_motion(b0, affine, mask)

    def aligned(images):
        grid = (mask.shape, affine)
        return [images[0], resample(images[1], affine, *grid, order=3, target_to_source=pull)]

    smooth = [ndimage.gaussian_filter(image, 0.5) for image in b0]
    rows = (
        ("b0", before, b0),
        ("b0, one head position", None, aligned(b0)),
        ("b0, smoothed by half a voxel", None, smooth),
        ("FA", blips(out, "desc-uncorrected_FA"), fa),
        ("FA, one head position", None, aligned(fa)),
    )
    print("\n| agreement of the blips (r) | before | after |\n|---|---|---|")
    for name, first, second in rows:
        was = "" if first is None else f"{agreement(first, mask):.3f}"
        print(f"| {name} | {was} | {agreement(second, mask):.3f} |")
    squares = np.sort((b0[0] - b0[1])[mask] ** 2)[::-1]
    share = squares[: squares.size // 20].sum() / squares.sum()
    print(f"\n{share:.0%} of the squared difference of b0 lies in 5 % of the voxels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="derivatives of the run")
    parser.add_argument("reference", type=Path, help="folder xa30_reference")
    options = parser.parse_args()
    mask = load(options.reference / "evaluation_mask.nii.gz") > 0
    print(
        "| blip | median mm | p95 mm | removed % | removed where > 3 mm % |\n|---|---|---|---|---|"
    )
    for direction in ("AP", "PA"):
        print(field_row(options.out, options.reference, direction, mask))
    raw = options.reference.parent / "xa30"
    agreement_rows(options.out, raw, options.reference / "evaluation_mask.nii.gz")


if __name__ == "__main__":
    main()
