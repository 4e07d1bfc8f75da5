"""How long each step took: one table in the log folder of every run.

Its lines are the name of a step, parts separated by dots and that of the workflow first, and
seconds. On batch systems these are counted from the submission.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

NAME = "times.tsv"
_LINE = re.compile(r"^[^.\t]+\.(\S+)\t(\d+\.\d)$", re.MULTILINE)


def add_time(table: Path, step: str, seconds: float) -> None:
    """Append the line of a finished step; a full disk must not end the run for its sake."""
    with suppress(OSError), table.open("a", encoding="utf-8") as file:
        file.write(f"{step}\t{seconds:.1f}\n")


def read_times(logs: Path, workflow_name: str) -> dict[str, float]:
    """Seconds of every step of one session.

    Parameters
    ----------
    logs
        Parent of the log folders of all runs: a run that goes on where an earlier one stopped
        does not repeat its steps.
    workflow_name
        ``SessionPlan.workflow_name``.

    Returns
    -------
    dict
        By the name of the step below the session's workflow, in the order in which they ended;
        of a step that was repeated, the last time.
    """
    times: dict[str, float] = {}
    for table in sorted(logs.glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime_ns):
        for step, seconds in _LINE.findall(table.read_text(encoding="utf-8")):
            session, _, step = step.partition(".")
            if session == workflow_name:
                times.pop(step, None)
                times[step] = float(seconds)
    return times


def is_drawing(step: str) -> bool:
    """Whether a step makes figures or the page with volumes."""
    return step.rpartition(".")[2].startswith(("draw_", "save_viewer"))


def step_in_words(step: str) -> str:
    """Name of a step for people.

    >>> step_in_words("dir_AP_wf.fit_tensor")
    'dir AP, fit tensor'
    """
    parts = [re.sub(r"_wf$", "", part).replace("_", " ") for part in step.split(".")]
    return ", ".join(parts)


def elapsed(seconds: float) -> str:
    """Duration as ``m:ss`` or ``h:mm:ss``.

    >>> elapsed(65), elapsed(3600)
    ('1:05', '1:00:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
