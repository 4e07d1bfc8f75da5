"""Quality numbers: which there are, what they mean, how they read.

``data/qc.json`` is the one list of known numbers; it drives the table of the person's report, the
columns of the group table and the group's data dictionary. Numbers it does not know are shown
under their own name.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"
# The Motion block of a sidecar leaves the unit to its description; a column name carries it
_MOTION_NAMES = {"fd_mean": "fd_mean_mm", "fd_max": "fd_max_mm"}
_VERDICT = ("accepted", "reasons")


@cache
def known_numbers() -> dict[str, dict[str, str]]:
    """Name -> ``LongName``, ``Description`` and ``Units``, in the order of display."""
    return json.loads((DATA / "qc.json").read_text(encoding="utf-8"))


def read_numbers(sidecar: dict[str, Any]) -> dict[str, Any]:
    """Quality numbers of one diffusion run.

    Parameters
    ----------
    sidecar : dict
        Contents of a ``*_desc-preproc_dwi.json`` with the blocks ``SDCQuality`` and ``Motion``;
        either may be missing.

    Returns
    -------
    dict
        Known numbers first, in the order of ``data/qc.json``, then the others as they come.
    """
    quality = sidecar.get("SDCQuality") or {}
    motion = sidecar.get("Motion") or {}
    found = {name: value for name, value in quality.items() if name not in _VERDICT}
    found |= {_MOTION_NAMES.get(name, name): value for name, value in motion.items()}
    return {name: found[name] for name in sort_names(found)}


def read_anatomy(sidecar: dict[str, Any], target: str = "FA") -> dict[str, Any]:
    """Numbers about the T1w, from the sidecar of a synthetic image made from it.

    The T1w looks the same to every generator, so that only the score is of each `target`.
    """
    score = sidecar.get("OutOfDistribution")
    if target != "FA":
        return {f"ood_score_{target.lower()}": score}
    return {"ood_score": score} | (sidecar.get("Appearance") or {})


def sort_names(names) -> list[str]:
    """Known names in the order of ``data/qc.json``, then unknown ones in the order given."""
    known = [name for name in known_numbers() if name in names]
    return known + [name for name in names if name not in known_numbers()]


def describe(name: str) -> dict[str, str]:
    """What is known of a number; its own name when nothing is."""
    return known_numbers().get(name, {"LongName": name, "Description": "", "Units": ""})


def heading(name: str) -> str:
    """What a number is called, with its unit."""
    known = describe(name)
    return known["LongName"] + (f" ({known['Units']})" if known["Units"] not in ("", "1") else "")


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number (truth values are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def format_value(value: Any, missing: str = "n/a") -> str:
    """Write a value for people and for TSV files: at most four significant digits.

    Truth values read ``true`` and ``false``, lists are joined, anything that is not there or not
    finite is `missing`, as BIDS writes it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "; ".join(format_value(item) for item in value) or missing
    if isinstance(value, int | float):
        return f"{value:.4g}" if math.isfinite(value) else missing
    if value is None or value == "":
        return missing
    return str(value)
