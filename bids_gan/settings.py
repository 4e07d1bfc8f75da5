"""One frozen record of everything a run can be told, made at the command line and passed down.

Precedence: what is given on the command line, else what stands in ``--config-file``, else the
defaults below.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import uuid
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bids_gan.errors import UsageError
from bids_gan.text import load_toml

#: values that an option accepts, where they can be listed
CHOICES = {
    "analysis_level": ("participant", "group"),
    "sdc": ("auto", "measured", "reverse-pe", "synth", "none"),
    "sdc_on_failure": ("error", "warn"),
    "output_spaces": ("dwi", "T1w"),
}
#: of what concerns one call alone: not kept for the next one
_ONCE = {"once": True}
#: more threads than this slow registration and inference down on shared machines
MAX_DEFAULT_THREADS = 8


def available_cpus() -> int:
    """Number of processors that this process may use (not those the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _new_run_uuid() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}_{uuid.uuid4()}"


@dataclass(frozen=True)
class Settings:
    """Every option of the command line, by the option's own name.

    Raises
    ------
    UsageError
        A value is none of those accepted, or two values contradict each other.
    """

    bids_dir: Path
    output_dir: Path
    analysis_level: str = "participant"
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    bids_filter_file: Path | None = None
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    targets: tuple[str, ...] = ("FA",)
    sdc: str = "auto"
    sdc_on_failure: str = "error"
    model: tuple[str, ...] = ()
    device: str = "auto"
    #: processes and threads in all; the processors that this process may use when not given
    nprocs: int = field(default_factory=available_cpus)
    #: threads of one step; derived from ``nprocs`` when not given
    omp_nthreads: int | None = None
    mem_mb: int | None = None
    work_dir: Path = field(default_factory=lambda: Path.cwd() / "work")
    use_plugin: Path | None = None
    config_file: Path | None = field(default=None, metadata={"stored": False})
    dry_run: bool = field(default=False, metadata=_ONCE)
    reports_only: bool = field(default=False, metadata=_ONCE)
    boilerplate_only: bool = field(default=False, metadata=_ONCE)
    stop_on_first_crash: bool = False
    random_seed: int = 0
    clean_workdir: bool = field(default=False, metadata=_ONCE)
    write_graph: bool = field(default=False, metadata=_ONCE)
    resource_monitor: bool = False
    #: seconds
    fallback_total_readout_time: float | None = None
    #: (name, path) of earlier derivatives from which masks are reused
    derivatives: tuple[tuple[str, Path], ...] = ()
    output_spaces: tuple[str, ...] = ("dwi",)
    verbose: int = 0
    #: names the log folder of this run
    run_uuid: str = field(default_factory=_new_run_uuid, metadata={"stored": False})

    def __post_init__(self):
        if self.omp_nthreads is None:
            object.__setattr__(self, "omp_nthreads", min(self.nprocs, MAX_DEFAULT_THREADS))
        for name, accepted in CHOICES.items():
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if item not in accepted:
                    raise UsageError(
                        f"{_option(name)}: {item!r} is none of {', '.join(accepted)}."
                    )
        for name in ("nprocs", "omp_nthreads", "mem_mb", "fallback_total_readout_time"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(
                    f"{_option(name)} must be a number larger than zero, not {value}."
                )
        if self.omp_nthreads > self.nprocs:
            raise UsageError(
                f"--omp-nthreads {self.omp_nthreads} (threads of one step) is larger than "
                f"--nprocs {self.nprocs} (processors in all)."
            )
        names = [name for name, _ in self.derivatives]
        if "raw" in names or len(set(names)) < len(names):
            raise UsageError(
                "--derivatives: each dataset needs a name of its own, and 'raw' is BIDS_DIR; "
                f"given: {', '.join(names)}."
            )
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"--device: {self.device!r} is none of auto, cpu, cuda, cuda:N.")

    @property
    def log_dir(self) -> Path:
        """Folder of the crash files, settings and messages of this run."""
        return self.output_dir / "logs" / self.run_uuid

    @property
    def written_folders(self) -> dict[str, Path]:
        """The only folders that are written, by what the command line calls them."""
        return {"OUTPUT_DIR": self.output_dir, "--work-dir": self.work_dir}

    @property
    def synthesised(self) -> tuple[str, ...]:
        """Contrasts that are made: FA, which diffusion needs, and what else is asked for."""
        return tuple(dict.fromkeys(("FA", *self.targets)))

    @classmethod
    def from_toml(cls, path: Path, **overrides: Any) -> Settings:
        """Read settings from a TOML file; ``overrides`` win over the file."""
        return cls(**{**read_toml(path), **overrides})

    def to_toml(self, path: Path) -> None:
        """Write what makes this run again to a TOML file that ``--config-file`` accepts."""
        lines, tables = [], []
        for item in fields(self):
            value, kept = getattr(self, item.name), item.metadata
            if value is None or kept.get("once") or not kept.get("stored", True):
                continue
            if item.name == "derivatives":
                tables = ["", "[derivatives]"] + [
                    f"{_toml(name)} = {_toml(place)}" for name, place in value
                ]
            else:
                lines.append(f"{item.name} = {_toml(value)}")
        Path(path).write_text("\n".join([*lines, *tables, ""]), encoding="utf-8")


def read_toml(path: Path) -> dict[str, Any]:
    """Read the settings that a TOML file holds, each checked for its type.

    Raises
    ------
    UsageError
        The file is not TOML, holds a key that is no option, or a value of the wrong type.
    """
    try:
        content = load_toml(Path(path))
    except OSError as err:
        raise UsageError(f"--config-file {path} cannot be read: {err.strerror}.") from err
    except ValueError as err:
        raise UsageError(f"--config-file {path} is not valid TOML: {err}.") from err
    hints = get_type_hints(Settings)
    stored = [f.name for f in fields(Settings) if f.metadata.get("stored", True)]
    values = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in stored:
            raise UsageError(
                f"--config-file {path}: {key!r} is no setting. Settings: {', '.join(stored)}."
            )
        values[name] = _typed(name, hints[name], value, path)
    return values


def absolute(path: str | Path) -> Path:
    """Absolute path; links stay links, since data managers keep images behind links."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def _option(name: str) -> str:
    return name if name == "analysis_level" else f"--{name.replace('_', '-')}"


def _toml(value: Any) -> str:
    """One value in TOML notation (JSON strings, numbers and lists are valid TOML)."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _typed(name: str, hint: Any, value: Any, path: Path) -> Any:
    """Convert a TOML value to the type of the setting ``name``."""
    kinds = get_args(hint) if type(None) in get_args(hint) else (hint,)
    if name == "derivatives":
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return tuple((key, absolute(item)) for key, item in value.items())
        wanted = "a table of NAME = PATH"
    elif hint == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        wanted = "a list of texts"
    elif Path in kinds:
        if isinstance(value, str):
            return absolute(value)
        wanted = "a path"
    elif float in kinds:
        if type(value) in (int, float) and abs(value) <= sys.float_info.max:
            return float(value)
        wanted = "a number"
    else:
        if type(value) in kinds:
            return value
        wanted = {bool: "true or false", int: "a whole number", str: "a text"}[kinds[0]]
    raise UsageError(f"--config-file {path}: {name} must be {wanted}, not {value!r}.")
