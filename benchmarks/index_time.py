"""Processor time and memory of the plan of a large dataset: index_time.py PEOPLE.

The images are empty files: only names and sidecars are read, as by ``--dry-run``.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from bids_gan.bids.plan import make_plan
from bids_gan.bids.queries import open_layout
from bids_gan.settings import Settings

SIDECAR = json.dumps({"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05})


def write(root: Path, people: int) -> None:
    """A T1w and a diffusion run for each person."""
    description = {"Name": "large", "BIDSVersion": "1.10.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    for number in range(people):
        person = f"sub-{number:05d}"
        stem = root / person / "dwi" / f"{person}_dwi"
        stem.parent.mkdir(parents=True)
        (root / person / "anat").mkdir()
        (root / person / "anat" / f"{person}_T1w.nii.gz").touch()
        for suffix, text in (
            (".nii.gz", ""),
            (".json", SIDECAR),
            (".bval", "0 " + "1000 " * 6),
            (".bvec", "1 " * 21),
        ):
            stem.with_name(stem.name + suffix).write_text(text)


def measure(what: str, settings: Settings) -> None:
    """Print what one plan takes."""
    start = time.process_time()
    plan = make_plan(open_layout(settings), settings)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {len(plan.sessions)} people, {seconds:.1f} s of processor, peak {peak:.0f} MiB"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "data"
        root.mkdir()
        write(root, int(sys.argv[1]))
        measure("one person", Settings(root, root / "out", participant_label=("00000",)))
        measure("everybody", Settings(root, root / "out"))
        kept = {"bids_database_dir": Path(scratch) / "index"}
        measure("everybody, index made", Settings(root, root / "out", **kept))
        one = ("00000",)
        measure(
            "one person, index kept", Settings(root, root / "out", participant_label=one, **kept)
        )


if __name__ == "__main__":
    main()
