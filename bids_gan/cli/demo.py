"""``bids-gan-demo``: write a small BIDS dataset with a known truth, or judge a result by it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan import __version__
from bids_gan.errors import BidsGanError, ProcessingError, UsageError
from bids_gan.text import read_json

if TYPE_CHECKING:
    import nibabel as nib

    from bids_gan.evaluate.demo import Correction, Truth


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
    from bids_gan.simulate.demo import DATASET_NAME, write_demo

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
    from bids_gan.bids.outputs import output_path
    from bids_gan.evaluate.demo import compare_with_truth, format_comparison

    entities = _entities(folder)
    withdrawn = derivatives / output_path("fieldmap_rejected", entities)
    if withdrawn.is_file():
        print(f"the no-harm gate withdrew the correction: the report says why ({withdrawn.name})")
    truth = _truth(folder, entities["direction"])
    comparison = compare_with_truth(truth, _correction(folder, derivatives, entities))
    print(format_comparison(comparison))
    if withdrawn.is_file():
        return ProcessingError.exit_code
    if not comparison.improved:
        print("the correction did not bring the images closer to the truth")
        return ProcessingError.exit_code
    return 0


def _entities(folder: Path) -> dict[str, str]:
    """BIDS entities of the one diffusion run of the demo."""
    runs = sorted(folder.glob("sub-01/dwi/sub-01_dir-*_dwi.nii.gz"))
    if len(runs) != 1:
        raise UsageError(f"{folder}: not a folder that bids-gan-demo wrote")
    return {"subject": "01", "direction": runs[0].name.split("_")[1].removeprefix("dir-")}


def _truth(folder: Path, label: str) -> Truth:
    import numpy as np

    from bids_gan.evaluate.demo import Truth

    run = f"sub-01/dwi/sub-01_dir-{label}"
    sidecar = json.loads((folder / f"{run}_dwi.json").read_text(encoding="utf-8"))
    root = folder / "derivatives" / "truth"
    alignment = root / f"{run}_from-dwi_to-T1w_mode-image_xfm.json"
    return Truth(
        field=_load(root / f"sub-01/fmap/sub-01_acq-truth{label}_fieldmap.nii.gz"),
        b0=_load(root / f"{run}_desc-truth_S0map.nii.gz"),
        fa=_load(root / f"{run}_desc-truth_FA.nii.gz"),
        mask=_load(root / f"{run}_desc-brain_mask.nii.gz"),
        fa_t1w=_load(root / "sub-01/dwi/sub-01_space-T1w_desc-truth_FA.nii.gz"),
        dwi_to_t1w=np.array(json.loads(alignment.read_text(encoding="utf-8"))["Matrix"]),
        pe_direction=sidecar["PhaseEncodingDirection"],
        readout_time=sidecar["TotalReadoutTime"],
    )


def _correction(folder: Path, derivatives: Path, entities: dict[str, str]) -> Correction:
    import nibabel as nib
    import numpy as np

    from bids_gan.bids.outputs import output_path
    from bids_gan.evaluate.demo import Correction
    from bids_gan.itk import read_affine

    def output(key: str) -> Path:
        return derivatives / output_path(key, entities)

    run = folder / f"sub-01/dwi/sub-01_dir-{entities['direction']}_dwi"
    dwi = _load(run.with_suffix(".nii.gz"))
    unweighted = np.loadtxt(run.with_suffix(".bval")) == 0
    b0 = np.asarray(dwi.dataobj, np.float32)[..., unweighted].mean(axis=-1)
    rejected = output("fieldmap_rejected")
    return Correction(
        field=_load(rejected if rejected.is_file() else output("fieldmap")),
        b0_before=nib.Nifti1Image(b0, dwi.affine),
        b0_after=_load(output("dwiref")),
        fa_before=_load(output("fa_uncorrected")),
        fa_after=_load(output("fa")),
        synthetic_fa=_load(derivatives / output_path("synth_fa", {"subject": "01"})),
        # the file maps points of the T1w to the diffusion image, as ITK resamples
        dwi_to_t1w=np.linalg.inv(read_affine(_existing(output("dwi_to_t1w")))),
    )


def _load(path: Path) -> nib.Nifti1Image:
    import nibabel as nib

    return nib.load(_existing(path))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ProcessingError(f"{path}: no such file; the comparison cannot be made")
    return path


def _dataset_name(folder: Path) -> str | None:
    return (read_json(folder / "dataset_description.json") or {}).get("Name")


if __name__ == "__main__":
    sys.exit(main())
