"""Score a finished run on ``xa30`` against the fields measured with both blips and with a GRE.

    bids-gan DATA/xa30 OUT participant --sdc synth --sdc-on-failure warn
    bids-gan DATA/xa30 OUT participant --sdc reverse-pe      # both blips together
    bids-gan DATA/xa30 OUT participant --sdc measured        # with the GRE field map
    python benchmarks/sdc_real.py OUT DATA/xa30_reference

*removed* is ``1 - mean|error| / mean|displacement|`` inside the evaluation mask; *strong* the same
where the displacement exceeds 3 mm. A field that the gate withdrew is scored too, and marked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

READOUT, VOXEL = 0.0475693, 3.0
STRONG = 3.0


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, np.float32)


def field_row(out: Path, reference: Path, direction: str, mask: np.ndarray) -> str:
    """Errors of one blip's field."""
    (path,) = (out / "sub-01" / "fmap").glob(f"*{direction}_desc-*_fieldmap.nii.gz")
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


def agreement(out: Path, kind: str, mask: np.ndarray) -> float:
    """Correlation of the two blips' images."""
    dwi = out / "sub-01" / "dwi"
    ap, pa = (load(dwi / f"sub-01_dir-{d}_{kind}.nii.gz")[mask] for d in ("AP", "PA"))
    return float(np.corrcoef(ap, pa)[0, 1])


def raw_b0_agreement(raw: Path, mask: np.ndarray) -> float:
    images = []
    for direction in ("AP", "PA"):
        stem = raw / "sub-01" / "dwi" / f"sub-01_dir-{direction}_dwi"
        unweighted = np.loadtxt(stem.with_suffix(".bval")) <= 50
        images.append(load(stem.with_suffix(".nii.gz"))[..., unweighted].mean(-1)[mask])
    return float(np.corrcoef(*images)[0, 1])


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
    print("\n| agreement of the blips (r) | before | after |\n|---|---|---|")
    after = agreement(options.out, "dwiref", mask)
    print(f"| b0 | {raw_b0_agreement(raw, mask):.3f} | {after:.3f} |")
    before, after = (
        agreement(options.out, f"desc-{k}_FA", mask) for k in ("uncorrected", "preproc")
    )
    print(f"| FA | {before:.3f} | {after:.3f} |")


if __name__ == "__main__":
    main()
