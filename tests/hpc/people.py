"""Write a dataset of small simulated people: people.py FOLDER NUMBER [--dwi].

Without ``--dwi`` a person has a T1w only, and is processed in the least possible time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from bids_gan.simulate.demo import write_demo

#: mm
SPACING = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--dwi", action="store_true")
    options = parser.parse_args()
    for number in range(1, options.number + 1):
        with tempfile.TemporaryDirectory() as scratch:
            source = write_demo(Path(scratch) / "bids", seed=number, t1w_spacing=SPACING)
            copy(source, options.folder, f"sub-{number:02d}", options.dwi)


def copy(source: Path, folder: Path, person: str, dwi: bool) -> None:
    """Take ``sub-01`` of a demo dataset over into `folder` as `person`."""
    for path in sorted(source.glob("sub-01/*/*")):
        if path.parent.name == "anat" or dwi:
            target = folder / person / path.parent.name / path.name.replace("sub-01", person)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for path in source.glob("*"):
        if path.is_file() and path.name != "participants.tsv":
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main()
