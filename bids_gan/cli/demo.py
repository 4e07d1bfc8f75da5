"""``bids-gan-demo``: write a small BIDS dataset with a known truth, or judge a result by it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .. import __version__
from ..errors import BidsGanError, ProcessingError, UsageError


def make_parser() -> argparse.ArgumentParser:
    """Parser of ``bids-gan-demo``."""
    parser = argparse.ArgumentParser(
        prog="bids-gan-demo",
        description="Write a small BIDS dataset of one simulated person, T1w and one-blip "
        "diffusion EPI, whose distortion is known. With --compare, measure how well a finished "
        "bids-gan run on that dataset recovered it.",
    )
    parser.add_argument("folder", type=Path, metavar="OUT", help="root of the dataset")
    parser.add_argument(
        "--seed", type=int, default=0, help="decides anatomy, field and noise (default: 0)"
    )
    parser.add_argument(
        "--pe-direction",
        choices=("i", "i-", "j", "j-", "k", "k-"),
        default="j-",
        help="phase-encoding direction of the diffusion series (default: j-, which is AP)",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="DERIVATIVES",
        help="write nothing; compare the output folder of bids-gan with the truth in OUT",
    )
    parser.add_argument("--version", action="version", version=f"bids-gan {__version__}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run ``bids-gan-demo``; returns the exit code."""
    options = make_parser().parse_args(argv)
    try:
        if options.compare is not None:
            return compare(options.folder, options.compare)
        write(options.folder, options.seed, options.pe_direction)
    except BidsGanError as error:
        print(f"bids-gan-demo: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def write(folder: Path, seed: int, pe_direction: str) -> None:
    """Write the dataset into an absent or empty folder, or over an earlier demo.

    Raises
    ------
    UsageError
        If `folder` holds anything else.
    """
    from ..simulate.demo import DATASET_NAME, write_demo

    if folder.exists() and _dataset_name(folder) != DATASET_NAME and any(folder.iterdir()):
        raise UsageError(
            f"{folder}: holds files that are no earlier demo; name a new or an empty folder"
        )
    print(f"simulating one person (seed {seed}): anatomy, diffusion, distortion ...", flush=True)
    write_demo(folder, seed, pe_direction)
    print(f"demo dataset: {folder}\nits truth:    {folder / 'derivatives' / 'truth'}")


def compare(folder: Path, derivatives: Path) -> int:
    """Print the comparison of a finished run with the truth.

    Returns
    -------
    int
        0 when the displacement error fell, else 1: the correction was withdrawn, folds or harms.

    Raises
    ------
    ProcessingError
        If a file of the comparison is missing.
    """
    from ..evaluate.demo import compare_with_truth, format_comparison

    label = _one(folder, "derivatives/truth/sub-01/fmap/*_fieldmap.nii.gz").name.split("_")[1]
    label = label.removeprefix("acq-truth")
    field = _one(derivatives, f"sub-01/fmap/sub-01_acq-synthFA{label}_desc-*_fieldmap.nii.gz")
    withdrawn = "_desc-rejected_" in field.name
    if withdrawn:
        print(f"the no-harm gate withdrew the correction: the report says why ({field.name})")
    truth = _truth(folder, label)
    comparison = compare_with_truth(truth, _correction(folder, derivatives, field, label))
    print(format_comparison(comparison))
    if withdrawn:
        return ProcessingError.exit_code
    if not comparison.improved:
        print("the correction did not bring the images closer to the truth")
        return ProcessingError.exit_code
    return 0


def _truth(folder: Path, label: str):
    import nibabel as nib

    from ..evaluate.demo import Truth

    run = f"sub-01/dwi/sub-01_dir-{label}"
    sidecar = json.loads(_one(folder, f"{run}_dwi.json").read_text(encoding="utf-8"))
    root = folder / "derivatives" / "truth"
    return Truth(
        field=nib.load(_one(root, f"sub-01/fmap/sub-01_acq-truth{label}_fieldmap.nii.gz")),
        b0=nib.load(_one(root, f"{run}_desc-truth_S0map.nii.gz")),
        fa=nib.load(_one(root, f"{run}_desc-truth_FA.nii.gz")),
        mask=nib.load(_one(root, f"{run}_desc-brain_mask.nii.gz")),
        fa_t1w=nib.load(_one(root, "sub-01/dwi/sub-01_space-T1w_desc-truth_FA.nii.gz")),
        pe_direction=sidecar["PhaseEncodingDirection"],
        readout_time=sidecar["TotalReadoutTime"],
    )


def _correction(folder: Path, derivatives: Path, field: Path, label: str):
    import nibabel as nib
    import numpy as np

    from ..evaluate.demo import Correction

    run = f"sub-01/dwi/sub-01_dir-{label}"
    dwi = nib.load(_one(folder, f"{run}_dwi.nii.gz"))
    unweighted = np.loadtxt(_one(folder, f"{run}_dwi.bval")) == 0
    b0 = np.asarray(dwi.dataobj, np.float32)[..., unweighted].mean(axis=-1)
    magnitude = f"sub-01/fmap/sub-01_acq-synthFA{label}_magnitude.nii.gz"
    return Correction(
        field=nib.load(field),
        b0_before=nib.Nifti1Image(b0, dwi.affine),
        b0_after=nib.load(_one(derivatives, magnitude)),
        fa_before=nib.load(_one(derivatives, f"{run}_desc-uncorrected_FA.nii.gz")),
        fa_after=nib.load(_one(derivatives, f"{run}_desc-preproc_FA.nii.gz")),
        synthetic_fa=nib.load(
            _one(derivatives, "sub-01/dwi/sub-01_space-T1w_desc-synth_FA.nii.gz")
        ),
    )


def _one(root: Path, pattern: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        what = "no such file" if not found else f"{len(found)} files where one is expected"
        raise ProcessingError(f"{root / pattern}: {what}; the comparison cannot be made")
    return found[0]


def _dataset_name(folder: Path) -> str | None:
    try:
        return json.loads((folder / "dataset_description.json").read_text("utf-8")).get("Name")
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
