"""What a run leaves to look at: ``log.csv`` always, TensorBoard when it is installed."""

from __future__ import annotations

import csv
import os
from pathlib import Path


class Log:
    """Rows of numbers, one a validation.

    Parameters
    ----------
    folder : Path
        Receives ``log.csv``, and ``tensorboard/`` when TensorBoard is installed.
    step : int
        Where the run continues; rows of later steps, which the interrupted run wrote after its
        last checkpoint, are dropped.
    """

    def __init__(self, folder: Path, step: int = 0):
        self.path = folder / "log.csv"
        self.rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as stream:
                self.rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
            self._write()
        self.board = _tensorboard(folder / "tensorboard", step)

    def add(self, row: dict[str, float]) -> None:
        """Append a row, which must have ``step``; a new column is empty in the rows before."""
        text = {key: f"{value:.6g}" if key != "step" else str(value) for key, value in row.items()}
        self.rows.append(text)
        self._write()
        if self.board is not None:
            for key, value in row.items():
                self.board.add_scalar(
                    key.replace("validation_", "validation/"), value, row["step"]
                )
            self.board.flush()

    def close(self) -> None:
        """Finish the TensorBoard file."""
        if self.board is not None:
            self.board.close()

    def _write(self) -> None:
        columns = list(dict.fromkeys(key for row in self.rows for key in row)) or ["step"]
        temporary = self.path.with_suffix(".part")
        with temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)


def steps_done(folder: Path) -> int:
    """Step at which the finished run in `folder` was validated last: its end."""
    with (folder / "log.csv").open(newline="") as stream:
        return max(int(row["step"]) for row in csv.DictReader(stream))


def _tensorboard(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
