"""One line on the terminal, and one in a table of times, for each finished step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_gan.reports.times import add_time, elapsed, step_in_words


class Progress:
    """Nipype status callback that prints in plain words.

    Parameters
    ----------
    people
        Label of the person and session by name of the workflow, as in
        ``{"sub_01_wf": "sub-01"}``.
    total
        Number of steps to expect.
    verbose
        Also print when a step starts.
    times
        File that receives the times, see `bids_gan.reports.times`.
    """

    def __init__(
        self,
        people: Mapping[str, str],
        total: int,
        verbose: bool = False,
        times: Path | None = None,
    ):
        self.people = dict(people)
        self.total = total
        self.verbose = verbose
        self.times = times
        self.done = 0
        self.start = time.time()
        self.started: dict[str, float] = {}

    def __call__(self, node: Any, status: str) -> None:
        if node.name.startswith("_"):  # one of the parts that a step was split into
            return
        if status == "start":
            self.started[node.fullname] = time.time()
            if self.verbose:
                self._print("      ", f"{self._words(node)} ...")
            return
        self.done += 1
        count = f"[{self.done}/{max(self.total, self.done)}]"
        self._print(count, f"{self._words(node)}{self._outcome(node, status)}")

    def _outcome(self, node: Any, status: str) -> str:
        if status == "exception":
            return ": FAILED"
        if self._reused(node):
            return " (done in an earlier run)"
        now = time.time()
        seconds = now - self.started.get(node.fullname, now)
        if self.times is not None:
            add_time(self.times, node.fullname, seconds)
        return f" ({seconds:.0f} s)" if seconds >= 1 else ""

    def _reused(self, node: Any) -> bool:
        """Whether the result was there before this run."""
        result = Path(node.output_dir()) / f"result_{node.name}.pklz"
        return result.exists() and result.stat().st_mtime < self.start

    def _words(self, node: Any) -> str:
        """``top.sub_01_wf.dwi_wf.fit_tensor`` becomes ``sub-01: dwi, fit tensor``."""
        parts = node.fullname.split(".")[1:]
        person = self.people.get(parts[0]) if len(parts) > 1 else None
        step = step_in_words(".".join(parts[bool(person) :]))
        return f"{person}: {step}" if person else step

    def _print(self, count: str, text: str) -> None:
        print(f"{count:>9} {elapsed(time.time() - self.start):>7}  {text}", flush=True)
