"""The page with the quality numbers of all people: a plot for each number, and the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from bids_gan.reports.numbers import describe, format_value, heading
from bids_gan.reports.outliers import MIN_VALUES, THRESHOLD
from bids_gan.reports.pages import render

# Width and height of a plot, and the border kept free around its points (SVG units)
_WIDTH, _HEIGHT, _BORDER = 640, 72, 12
# Rows of a table that a browser lays out without a wait
_AT_ONCE = 200


def group_page(
    rows: list[dict[str, Any]],
    columns: list[str],
    scores: dict[str, dict[int, float]],
    *,
    reports: list[str],
    unreadable: list[str],
) -> str:
    """HTML of the page: one file, nothing is loaded from elsewhere.

    Parameters
    ----------
    rows : list of dict
        One for each diffusion run or session without one, whose ``run`` is None.
    columns : list of str
        Of the table, in their order.
    scores : dict
        Name of a number -> row -> robust score (`bids_gan.reports.outliers`).
    reports : list of str
        People whose report exists.
    unreadable : list of str
        Files that had to be left out.

    Returns
    -------
    str
    """
    people = {row["participant_id"] for row in rows}
    with_run = {row["participant_id"] for row in rows if row["run"]}
    return render(
        "group.html.jinja",
        rows=rows,
        columns=columns,
        headings={name: heading(name) for name in columns},
        strips=[_strip(name, rows, scores[name]) for name in scores if scores[name]],
        scores=scores,
        size=(_WIDTH, _HEIGHT),
        at_once=_AT_ONCE,
        threshold=THRESHOLD,
        at_least=MIN_VALUES,
        people=len(with_run),
        reports=reports,
        without=[person for person in reports if person not in people],
        unreadable=unreadable,
    )


def _strip(name: str, rows: list[dict[str, Any]], scores: dict[int, float]) -> dict[str, Any]:
    """Strip and box plot of one number: a point for each row, shifted so that few coincide."""
    values = np.array([rows[n][name] for n in scores], float)
    low, high = values.min(), values.max()
    inner = _WIDTH - 2 * _BORDER

    def place(value: float | np.ndarray) -> np.ndarray:
        share = (value - low) / (high - low) if high > low else value * 0 + 0.5
        return np.round(_BORDER + inner * share, 1)

    # golden ratio: neighbours in the table lie far apart
    shift = np.array(list(scores)) * 0.618034 % 1
    heights = np.round(_BORDER + shift * (_HEIGHT - 2 * _BORDER), 1)
    far = [abs(score) > THRESHOLD for score in scores.values()]
    points = zip(place(values).tolist(), heights.tolist(), scores, far, strict=True)
    return {
        "heading": heading(name),
        "description": describe(name)["Description"],
        "low": format_value(float(low)),
        "median": format_value(float(np.median(values))),
        "high": format_value(float(high)),
        "flagged": sum(far),
        "quartiles": place(np.percentile(values, [25, 50, 75])).tolist(),
        "points": list(points),
    }
