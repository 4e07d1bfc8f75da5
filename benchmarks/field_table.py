"""Columns that the tables of fields on simulated heads share."""

from __future__ import annotations

import numpy as np

#: headings of :func:`before_and_after`
HEADINGS = "median mm | p95 mm | removed"


def before_and_after(size: np.ndarray, error: np.ndarray) -> str:
    """Displacement and what is left of it, both absolute (mm), as three columns."""
    return (
        f"{np.median(size):.2f} → {np.median(error):.2f} "
        f"| {np.percentile(size, 95):.2f} → {np.percentile(error, 95):.2f} "
        f"| {1 - error.mean() / size.mean():.0%}"
    )
