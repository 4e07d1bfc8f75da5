"""Quality numbers of all people: a table for programs, its dictionary, and a page to look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bids_gan.bids.outputs import output_path, write_json, write_text
from bids_gan.reports.numbers import (
    describe,
    format_value,
    is_number,
    read_numbers,
    sort_names,
)
from bids_gan.reports.outcome import read_json
from bids_gan.reports.pages import render

_SIDECAR = re.compile(r"(sub-([0-9A-Za-z+]+)(?:_ses-([0-9A-Za-z+]+))?.*)_desc-preproc_dwi\.json")
_FIRST_COLUMNS = {
    "participant_id": "Person",
    "session_id": "Session",
    "run": "Diffusion run: the name of its files up to desc-",
    "accepted": "Whether the quality gate accepted the distortion correction; n/a where none was "
    "estimated",
    "reasons": "What the quality gate objected to",
}
# Width and height of a strip plot, and the border kept free at its sides (SVG units)
_PLOT = (640, 60, 12)


def write_group(output_dir: str | Path) -> None:
    """Collect the quality numbers of every corrected diffusion run below a derivatives folder.

    Writes ``group_desc-sdc_qc.tsv``, its dictionary ``.json`` and ``group.html``; a dataset
    without any diffusion run gets an empty table.

    Parameters
    ----------
    output_dir : path
        Folder with ``sub-*/[ses-*/]dwi/*_desc-preproc_dwi.json``.
    """
    output_dir = Path(output_dir)
    rows, unreadable = _collect(output_dir)
    found = dict.fromkeys(name for row in rows for name in row)
    names = sort_names([name for name in found if name not in _FIRST_COLUMNS])
    columns = [*_FIRST_COLUMNS, *names]
    write_text(output_dir / output_path("group_table", {}), _table(rows, columns))
    write_json(output_dir / output_path("group_dictionary", {}), _dictionary(names))
    people = {row["participant_id"] for row in rows}
    reports = sorted(path.stem for path in output_dir.glob("sub-*.html"))
    page = render(
        "group.html.jinja",
        rows=rows,
        columns=columns,
        headings={name: _heading(name) for name in columns},
        strips=[_strip(name, rows) for name in names if any(is_number(r.get(name)) for r in rows)],
        plot=_PLOT,
        people=len(people),
        reports=set(reports),
        without=[person for person in reports if person not in people],
        unreadable=unreadable,
    )
    write_text(output_dir / output_path("group_report", {}), page)


def _collect(output_dir: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """One row for each diffusion run, in the order of file names, and files that are no JSON."""
    rows, unreadable = [], []
    for path in sorted(output_dir.glob("sub-*/**/dwi/sub-*_desc-preproc_dwi.json")):
        sidecar = read_json(path)
        name = _SIDECAR.fullmatch(path.name)
        if sidecar is None or name is None:
            unreadable.append(path.relative_to(output_dir).as_posix())
            continue
        quality = sidecar.get("SDCQuality") or {}
        row = {
            "participant_id": f"sub-{name[2]}",
            "session_id": f"ses-{name[3]}" if name[3] else None,
            "run": name[1],
            "accepted": quality.get("accepted"),
            "reasons": quality.get("reasons"),
        }
        rows.append(row | read_numbers(sidecar))
    return rows, unreadable


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


def _heading(name: str) -> str:
    if name in _FIRST_COLUMNS:
        return name
    known = describe(name)
    return known["LongName"] + (f" ({known['Units']})" if known["Units"] not in ("", "1") else "")


def _strip(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Strip plot of one number: a point for each row, moved up and down so that few coincide."""
    width, height, border = _PLOT
    values = [(n, row[name]) for n, row in enumerate(rows) if is_number(row.get(name))]
    low, high = min(v for _, v in values), max(v for _, v in values)
    span = (high - low) or 1.0
    points = []
    for n, value in values:
        x = border + (width - 2 * border) * ((value - low) / span if high > low else 0.5)
        shift = n * 0.618034 % 1  # golden ratio: neighbours in the table lie far apart
        points.append((round(x, 1), round(6 + shift * (height - 12), 1), n))
    return {
        "heading": _heading(name),
        "description": describe(name)["Description"],
        "low": format_value(low),
        "high": format_value(high),
        "points": points,
    }
