"""What an evaluation leaves behind, all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path

from bids_gan.evaluate.figure import draw
from bids_gan.evaluate.synthesis import Result
from bids_gan.evaluate.table import markdown, people_tsv, summary_tsv


def write_evaluation(results: list[Result], target: str, folder: Path) -> list[Path]:
    """Write ``summary.md``, ``summary.tsv``, ``people.tsv`` and a figure a person.

    Parameters
    ----------
    results : list of Result
    target : str
    folder : Path

    Returns
    -------
    list of Path
    """
    contents = {
        "summary.md": markdown(results, target).encode() + b"\n",
        "summary.tsv": summary_tsv(results).encode(),
        "people.tsv": people_tsv(results).encode(),
        **{f"{result.case.name}_{target}.png": draw(result, target) for result in results},
    }
    return write_files(contents, folder)


def write_files(contents: dict[str, bytes], folder: Path) -> list[Path]:
    """Write files by name into a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        part = folder / f".{name}.part"
        part.write_bytes(content)
        os.replace(part, folder / name)
    return [folder / name for name in contents]
