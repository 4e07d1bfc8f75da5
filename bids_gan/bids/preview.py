"""The plan as text, for ``--dry-run`` and the head of every run."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bids_gan.bids.plan import DiffusionRun, Plan, SessionPlan

_WIDTH = 99


def format_plan(plan: Plan) -> str:
    """Describe what will be done with each image, and why, in lines of at most 99 characters.

    Parameters
    ----------
    plan
        To describe.

    Returns
    -------
    str
        Text without a newline at its end; paths are relative to the dataset.
    """
    lines = [f"Plan for {plan.bids_dir}"]
    for session in plan.sessions:
        lines += ["", session.label, *_session(plan.bids_dir, session)]
    if plan.notes:
        lines += ["", *(line for note in plan.notes for line in _item("note", note, 0))]
    runs = sum(len(session.dwi) for session in plan.runnable)
    lines += [
        "",
        f"{len(plan.runnable)} of {len(plan.sessions)} sessions can be processed, "
        f"with {runs} diffusion {'run' if runs == 1 else 'runs'}.",
    ]
    return "\n".join(lines)


def _session(root: Path, session: SessionPlan) -> list[str]:
    lines = []
    if session.t1w is not None:
        lines += _item("T1w", _name(root, session.t1w.path), 2)
        lines += _item("why", session.t1w.reason, 4)
        for other in session.t1w.others:
            lines += _item("not", _name(root, other), 4)
        mask = session.brain_mask
        where = f"{_name(root, mask)}, " if mask else ""
        lines += _item("brain mask", f"{where}{session.brain_mask_reason}", 4)
    for run in session.dwi:
        lines += _run(root, run)
    if session.t1w is not None and not session.dwi:
        lines += _item("DWI", "none: synthesis only", 2)
    for note in session.notes:
        lines += _item("note", note, 2)
    for problem in session.problems:
        lines += _item("REFUSED", problem, 2)
    return lines


def _run(root: Path, run: DiffusionRun) -> list[str]:
    encoding = f"{run.pe_direction or 'unknown'} ({run.pe_source})"
    seconds = f"{run.readout_time:g} s" if run.readout_time else "unknown"
    lines = [
        *_item("DWI", _name(root, run.path), 2),
        *_item("phase encoding", encoding, 4),
        *_item("readout time", f"{seconds} ({run.readout_source})", 4),
        *_item("correction", f"{run.route}: {run.reason}", 4),
    ]
    if check := run.correction.check:
        lines += _item("compared with", f"the field of {check.origin}", 4)
    return lines


def _item(title: str, text: str, indent: int) -> list[str]:
    column = 20 if indent == 4 else indent + max(len(title), 3) + 2
    return _wrapped(f"{' ' * indent}{title}".ljust(column) + text, column)


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if root in path.parents else str(path)
