"""From a dataset of T1w images to a folder of training pairs."""

from __future__ import annotations

from pathlib import Path

from bids_gan.anatomy.prepare import prepare_t1w
from bids_gan.errors import DataError, UsageError
from bids_gan.images import load_volume
from bids_gan.models.registry import find_card, load_model
from bids_gan.pairs.measured import measured_pair
from bids_gan.pairs.store import TARGETS, is_whole, read_summary, write_pair
from bids_gan.pairs.template import align_template, template_pair

#: suffixes by which measured targets are found
SUFFIXES = {"FA": ("FA",), "T2w": ("T2w", "inplaneT2"), "FDG": ("pet",), "CT": ("ct",)}
PSEUDO = {
    "Description": "Pseudo-target: mean FA template registered to the T1w; not a measurement",
    "Synthetic": True,
}


def make_pairs(
    bids_dir: Path,
    output_dir: Path,
    target: str = "FA",
    template: Path | None = None,
    labels: list[str] | None = None,
) -> None:
    """Make a pair for each person of a dataset; people already done are kept.

    Parameters
    ----------
    bids_dir, output_dir : Path
    target : str
        Contrast; measured images of it are found in the dataset by their suffix.
    template : Path, optional
        Mean FA image in MNI space: pseudo-targets are made from it instead.
    labels : list of str, optional
        Participant labels; everybody with a T1w when omitted.

    Raises
    ------
    UsageError, DataError
    """
    from tqdm import tqdm

    if target not in TARGETS:
        raise UsageError(f"--target {target}: accepted are {', '.join(TARGETS)}")
    if template is not None and target != "FA":
        raise UsageError("--template makes pseudo-targets of FA only; omit it for measured ones")
    if template is not None and not template.exists():
        raise DataError(f"--template {template}: no such file")
    found = find_t1w(bids_dir, labels)
    network = load_model(find_card("anatomy")).network
    aligned = align_template(load_volume(template)) if template else None
    for label in tqdm(labels or sorted(found), unit="person"):
        if is_whole(output_dir, label):
            made = read_summary(output_dir, label)["Target"]
            if made != target:
                raise UsageError(
                    f"{output_dir}/sub-{label} is a pair for {made}; give each target a folder"
                )
            continue
        anatomy = prepare_t1w(load_volume(found[label]), network, name=str(found[label]))
        if aligned is not None:
            pair, card = template_pair(anatomy, aligned), PSEUDO
        else:
            path = find_target(bids_dir, label, target)
            pair = measured_pair(anatomy, load_volume(path), str(path), target)
            card = {"Description": f"Measured, {path.name}", "Synthetic": False}
        write_pair(output_dir, label, target, pair, card)


def find_t1w(bids_dir: Path, labels: list[str] | None = None) -> dict[str, Path]:
    """T1w images of a dataset by participant label, one of each.

    Raises
    ------
    UsageError
        When somebody, or everybody, has none.
    """
    found = {p.name.split("_")[0][4:]: p for p in sorted(bids_dir.glob("sub-*/**/*_T1w.nii.gz"))}
    unknown = set(labels or []) - set(found)
    if unknown or not found:
        raise UsageError(f"{bids_dir}: no T1w of {sorted(unknown) or 'anybody'}")
    return found


def find_target(bids_dir: Path, label: str, target: str) -> Path:
    """The one measured image of a contrast that a person has.

    Raises
    ------
    DataError
        When there is none, or more than one.
    """
    found = [
        path
        for suffix in SUFFIXES[target]
        for path in sorted(bids_dir.glob(f"sub-{label}/**/*_{suffix}.nii*"))
    ]
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise DataError(
            f"{bids_dir}/sub-{label}: one {target} image is needed beside the T1w "
            f"(*_{' or *_'.join(SUFFIXES[target])}.nii.gz), found {names}; "
            "--participant-label leaves people out, --template makes pseudo-targets of FA"
        )
    return found[0]
