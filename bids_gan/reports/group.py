"""Quality numbers of all people: a table for programs, its dictionary, and a page to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bids_gan.bids.outputs import output_path, outputs, write_json, write_text
from bids_gan.reports.group_page import group_page
from bids_gan.reports.numbers import (
    describe,
    format_value,
    is_number,
    read_anatomy,
    read_numbers,
    sort_names,
)
from bids_gan.reports.outliers import THRESHOLD, robust_scores
from bids_gan.text import read_json

_PERSON = r"(?P<person>sub-[0-9A-Za-z+]+)(?:_(?P<session>ses-[0-9A-Za-z+]+))?"
_RUN = re.compile(rf"(?P<run>{_PERSON}.*)_desc-preproc_dwi\.json")
_DIFFERENCE = re.compile(rf"(?P<run>{_PERSON}.*)_desc-fielddifference_qc\.json")
_FIRST_COLUMNS = {
    "participant_id": "Person",
    "session_id": "Session",
    "run": "Diffusion run: the name of its files up to desc-; n/a for a session without one",
    "accepted": "Whether the quality gate accepted the distortion correction; n/a where none was "
    "estimated",
    "reasons": "What the quality gate objected to",
    "compared_with": "Where the other field comes from that the field of this run is compared "
    "with; n/a where there is none",
    "outliers": f"Numbers of this run that lie more than {THRESHOLD} robust standard deviations "
    "(1.4826 times the median absolute deviation) from the median of all runs",
}


def write_group(output_dir: str | Path) -> None:
    """Collect the quality numbers of everybody below a derivatives folder.

    Writes ``group_desc-sdc_qc.tsv``, its dictionary ``.json`` and ``group.html``, with a line for
    each diffusion run and for each session that has a T1w only.

    Parameters
    ----------
    output_dir : path
        Folder with ``sub-*/[ses-*/]dwi/*_desc-preproc_dwi.json``, what their fields were compared
        with (``*_desc-fielddifference_qc.json``), and the sidecars of synthetic images.
    """
    output_dir = Path(output_dir)
    rows, unreadable = _collect(output_dir)
    found = dict.fromkeys(name for row in rows for name in row)
    names = sort_names([name for name in found if name not in _FIRST_COLUMNS])
    scores = {name: dict(_scores(name, rows)) for name in names}
    for n, row in enumerate(rows):
        row["outliers"] = [name for name in names if abs(scores[name].get(n, 0)) > THRESHOLD]
    columns = [*_FIRST_COLUMNS, *names]
    write_text(output_dir / output_path("group_table", {}), _table(rows, columns))
    write_json(output_dir / output_path("group_dictionary", {}), _dictionary(names))
    reports = sorted(path.stem for path in output_dir.glob("sub-*.html"))
    page = group_page(rows, columns, scores, reports=reports, unreadable=unreadable)
    write_text(output_dir / output_path("group_report", {}), page)


def _scores(name: str, rows: list[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """Line number and robust score of every row that has a number of this name."""
    lines = [n for n, row in enumerate(rows) if is_number(row.get(name))]
    values = np.array([rows[n][name] for n in lines])
    return zip(lines, robust_scores(values).tolist(), strict=True)


def _collect(output_dir: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """One row for each diffusion run or session without one, and files that are no JSON."""
    runs, bad_runs = _read(output_dir, "dwi", "*_desc-preproc_dwi.json", _RUN)
    compared, bad = _read(output_dir, "dwi", "*_desc-fielddifference_qc.json", _DIFFERENCE)
    differences = {name["run"]: record for name, record in compared}
    anatomy, bad_synthetic = _collect_anatomy(output_dir)
    rows = []
    for name, sidecar in runs:
        quality = sidecar.get("SDCQuality") or {}
        difference = dict(differences.get(name["run"], {}))
        words = {
            "accepted": quality.get("accepted"),
            "reasons": quality.get("reasons"),
            "compared_with": difference.pop("other", None),
        }
        numbers = anatomy.get((name["person"], name["session"]), {}) | read_numbers(sidecar)
        who = _row(name["person"], name["session"], name["run"])
        rows.append(who | words | numbers | difference)
    with_run = {(row["participant_id"], row["session_id"]) for row in rows}
    rows += [_row(*who) | numbers for who, numbers in anatomy.items() if who not in with_run]
    rows.sort(key=lambda row: [row[name] or "" for name in ("participant_id", "session_id")])
    return rows, bad_runs + bad + bad_synthetic


def _collect_anatomy(
    output_dir: Path,
) -> tuple[dict[tuple[str, str | None], dict[str, Any]], list[str]]:
    """Person and session -> numbers about the T1w, and files that are no JSON."""
    anatomy, unreadable = {}, []
    for target, folder, ending in _synthetic_images():
        known = re.compile(_PERSON + re.escape(ending))
        found, bad = _read(output_dir, folder, f"*{ending}", known)
        unreadable += bad
        for name, sidecar in found:
            numbers = anatomy.setdefault((name["person"], name["session"]), {})
            numbers |= read_anatomy(sidecar, target)
    return anatomy, unreadable


def _synthetic_images() -> Iterator[tuple[str, str, str]]:
    """Each contrast, the folder of its sidecar, and its name after the person and session."""
    for key, spec in outputs().items():
        target = spec.get("target", "")
        if key == f"synth_{target.lower()}":
            _, folder, name = spec["pattern"].split("/")
            ending = name.removeprefix("{session}").removesuffix(".nii.gz")
            yield target, folder, f"{ending}.json"


def _row(person: str, session: str | None, run: str | None = None) -> dict[str, Any]:
    return {"participant_id": person, "session_id": session, "run": run}


def _read(
    output_dir: Path, folder: str, pattern: str, known: re.Pattern
) -> tuple[list[tuple[re.Match, dict[str, Any]]], list[str]]:
    """Names and contents of sidecars in the order of their paths, and those that are no JSON."""
    found, unreadable = [], []
    for path in sorted(output_dir.glob(f"sub-*/**/{folder}/sub-{pattern}")):
        sidecar, name = read_json(path), known.fullmatch(path.name)
        if sidecar is not None and name is not None:
            found.append((name, sidecar))
        else:
            unreadable.append(path.relative_to(output_dir).as_posix())
    return found, unreadable


def _table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Rows as TSV; line breaks and tabs inside texts become spaces."""
    lines = [columns]
    for row in rows:
        lines.append([" ".join(format_value(row.get(name)).split()) for name in columns])
    return "".join("\t".join(line) + "\n" for line in lines)


def _dictionary(names: list[str]) -> dict[str, Any]:
    """BIDS data dictionary of the columns."""
    first = {name: {"Description": text} for name, text in _FIRST_COLUMNS.items()}
    rest = {name: {key: text for key, text in describe(name).items() if text} for name in names}
    return first | rest
