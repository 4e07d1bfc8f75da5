"""Crash files of a run: which step of which person failed, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bids_gan.errors import (
    BidsGanError,
    DataError,
    ModelError,
    ProcessingError,
    ResourceError,
)

_RESOURCE = re.compile(
    r"MemoryError|OutOfMemory|out of memory|can't allocate memory|not enough memory|"
    r"Cannot allocate memory|bad_alloc|Failed to allocate|CUDA error|CUDA driver|WorkerKilled|"
    r"ResourceError|No space left on device|Disk quota exceeded|"
    r"finished or terminated, but"  # Nipype, of a job that the batch system has killed
)


@dataclass(frozen=True)
class Crash:
    """One failed step."""

    path: Path
    #: ``SessionPlan.workflow_name`` of the person and session
    workflow_name: str
    #: name of the step below it, parts separated by dots
    step: str
    #: class of the exception, without its module
    exception: str
    message: str

    @property
    def kind(self) -> type[BidsGanError]:
        """What sort of failure it is."""
        return kind_of(f"{self.exception}: {self.message}")


def kind_of(error: str) -> type[BidsGanError]:
    """Sort of failure that the text of an error speaks of.

    >>> kind_of("DataError: no b-values").exit_code
    65
    """
    if _RESOURCE.search(error):
        return ResourceError
    known = {kind.__name__: kind for kind in (DataError, ModelError)}
    return known.get(error.partition(":")[0], ProcessingError)


def read_crashes(log_dir: Path) -> list[Crash]:
    """Read all crash files of one run or of all runs, in the order of their making.

    Parameters
    ----------
    log_dir
        ``Settings.log_dir`` of one run, or its parent for all runs.

    Returns
    -------
    list of Crash
    """
    files = sorted(log_dir.rglob("crash-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    return [_read(path) for path in files]


def _read(path: Path) -> Crash:
    text = path.read_text(encoding="utf-8", errors="replace")
    first = re.match(r"Node: (\S+)", text)
    # a step beside those of people has fewer parts in its name
    _, workflow_name, step, *_ = [*(first[1] if first else "").split(".", 2), "", ""]
    exception, _, message = _error(text).partition(": ")
    return Crash(path, workflow_name, step, exception.rsplit(".", 1)[-1], message.strip())


def _error(text: str) -> str:
    """What stands below the last traceback: class, colon, message.

    Nipype quotes the traceback of the step, indented, inside its own.
    """
    lines = [line.removeprefix("\t") for line in text.rstrip().splitlines()]
    places = [index for index, line in enumerate(lines) if line.startswith('  File "')]
    tail = lines[places[-1] + 1 :] if places else lines[-1:]
    while len(tail) > 1 and (not tail[0].strip() or tail[0].startswith("  ")):
        tail = tail[1:]
    # what Nipype adds to the crash files of batch jobs
    ends = [n for n, line in enumerate(tail) if line.startswith("When creating this crashfile")]
    return "\n".join(tail[: ends[0]] if ends else tail)
