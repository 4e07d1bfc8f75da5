"""The options of ``bids-gan``. Imports nothing heavy: ``--help`` answers at once."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from bids_gan import __version__
from bids_gan.errors import UsageError
from bids_gan.models.registry import available_targets, find_card
from bids_gan.settings import CHOICES, Settings, absolute

EPILOG = """\
exit codes: 0 done; 1 processing failed for somebody; 2 wrong usage; 65 the input data cannot be
processed; 69 a generator is missing or altered; 70 internal error; 75 out of memory or disk space,
or device failure; 130 interrupted. Nothing is ever sent over the network.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(f"{message}\nTry 'bids-gan --help'.")


def parse_settings(argv: list[str]) -> Settings:
    """Turn the command line into settings: options, else ``--config-file``, else defaults.

    Raises
    ------
    UsageError
        An option or a value is unknown, or a named file or folder does not exist.
    ModelError
        A generator of ``--model`` does not exist.
    SystemExit
        After ``--help`` and ``--version``.
    """
    given: dict[str, Any] = vars(build_parser().parse_args(_dashes(argv)))
    given.pop("notrack", None)
    config_file = given.get("config_file")
    settings = Settings.from_toml(config_file, **given) if config_file else Settings(**given)
    _check_paths(settings)
    _check_generators(settings)
    return settings


def build_parser() -> argparse.ArgumentParser:
    """All options, in groups; an option that is not given leaves no trace in the result."""
    parser = _Parser(
        prog="bids-gan",
        description="Synthesise the contrasts that a person's scan lacks from the T1w, correct "
        "the distortion of diffusion EPI with them, and write BIDS derivatives.",
        epilog=EPILOG,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bids-gan {__version__}")
    parser.add_argument("bids_dir", type=absolute, help="root folder of a BIDS dataset")
    parser.add_argument("output_dir", type=absolute, help="folder of the derivatives")
    parser.add_argument(
        "analysis_level",
        choices=CHOICES["analysis_level"],
        help="participant: process people; group: table and page of all finished people",
    )
    for add_group in (_input_options, _task_options, _compute_options, _run_options):
        add_group(parser)
    return parser


def _input_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which data")
    add = group.add_argument
    add(
        "--participant-label",
        nargs="+",
        action=_Labels,
        prefix="sub-",
        metavar="LABEL",
        help="people to process, with or without 'sub-' (default: all)",
    )
    add(
        "--session-label",
        "--session-id",
        nargs="+",
        action=_Labels,
        prefix="ses-",
        metavar="LABEL",
        help="sessions to process, with or without 'ses-' (default: all)",
    )
    add(
        "--bids-filter-file",
        type=absolute,
        metavar="JSON",
        help='pick images by BIDS entities, as in {"t1w": {"run": "1"}, "dwi": {...}}',
    )
    add(
        "--bids-database-dir",
        type=absolute,
        metavar="DIR",
        help="folder in which the index of the dataset is kept (made when absent)",
    )
    add(
        "--skip-bids-validation",
        action="store_true",
        help="do not run the BIDS validator on the dataset first",
    )
    add(
        "-d",
        "--derivatives",
        nargs="+",
        action=_NamedPaths,
        metavar="NAME=PATH",
        help="derivatives of fMRIPrep or of an earlier bids-gan run: their desc-brain_mask of "
        "the T1w is reused",
    )


def _task_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to do")
    add = group.add_argument
    add(
        "--targets",
        nargs="+",
        action=_Tuple,
        metavar="CONTRAST",
        help=f"contrasts to synthesise, of {', '.join(_targets())} {_default('targets')}",
    )
    add(
        "--sdc",
        choices=CHOICES["sdc"],
        help="distortion correction: the best route that the data allow (auto), with a measured "
        "field map (measured), with an image of opposite phase encoding (reverse-pe), with the "
        f"synthetic FA (synth), or none {_default('sdc')}",
    )
    add(
        "--sdc-on-failure",
        choices=CHOICES["sdc_on_failure"],
        help="when a diffusion run cannot be corrected: refuse its session (error), or "
        f"process it uncorrected and say so (warn) {_default('sdc_on_failure')}",
    )
    add(
        "--fallback-total-readout-time",
        type=float,
        metavar="SECONDS",
        help="readout time of diffusion runs whose JSON file gives neither TotalReadoutTime nor "
        "EffectiveEchoSpacing",
    )
    add(
        "--model",
        nargs="+",
        type=_name_or_path,
        action=_Tuple,
        metavar="NAME|PATH",
        help="generators to use in place of the released ones",
    )
    add(
        "--output-spaces",
        nargs="+",
        action=_Tuple,
        metavar="SPACE",
        help="dwi: results on the grid of the diffusion images; T1w: the corrected FA on the "
        f"grid of the T1w as well {_default('output_spaces')}",
    )
    add("--random-seed", type=int, metavar="N", help=f"seed {_default('random_seed')}")


def _compute_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computer")
    add = group.add_argument
    add("--device", metavar="auto|cpu|cuda[:N]", help=f"of the generators {_default('device')}")
    add("--nprocs", type=int, metavar="N", help="processors in all (default: all)")
    add("--omp-nthreads", type=int, metavar="N", help="threads of one step (default: up to 8)")
    add("--mem-mb", type=int, metavar="N", help="memory in all (default: 90 %% of what there is)")
    add(
        "-w",
        "--work-dir",
        type=absolute,
        metavar="DIR",
        help="intermediate results, from which a stopped run goes on (default: ./work)",
    )
    add("--clean-workdir", action="store_true", help="delete earlier intermediate results first")
    add(
        "--use-plugin",
        type=absolute,
        metavar="YAML",
        help="Nipype plugin and its arguments (SLURM, SGE, PBS, ...)",
    )
    add("--resource-monitor", action="store_true", help="record memory and processor use")


def _run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("this run")
    add = group.add_argument
    add("--config-file", type=absolute, metavar="TOML", help="settings of an earlier run")
    add("--dry-run", action="store_true", help="print what would be done, and stop")
    add("--reports-only", action="store_true", help="write the reports again, process nothing")
    add("--boilerplate-only", action="store_true", help="write the methods text, process nothing")
    add("--stop-on-first-crash", action="store_true", help="stop everybody when one step fails")
    add("--write-graph", action="store_true", help="draw the workflow into the log folder")
    add("--notrack", action="store_true", help="accepted and ignored: nothing is ever sent")
    add("-v", "--verbose", action="count", help="more messages; -vv for all")


class _Tuple(argparse.Action):
    """Store the values as a tuple."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, tuple(values))


class _Labels(argparse.Action):
    """Store BIDS labels without their prefix."""

    def __init__(self, *args, prefix: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.prefix = prefix

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, tuple(value.removeprefix(self.prefix) for value in values))


class _NamedPaths(argparse.Action):
    """Store NAME=PATH as (name, path)."""

    def __call__(self, parser, namespace, values, option_string=None):
        pairs = []
        for value in values:
            name, separator, path = value.partition("=")
            if not (separator and path and re.fullmatch(r"[A-Za-z0-9._-]+", name)):
                raise UsageError(f"{option_string} wants NAME=PATH, not {value!r}.")
            pairs.append((name, absolute(path)))
        setattr(namespace, self.dest, tuple(pairs))


def _name_or_path(model: str) -> str:
    return str(absolute(model)) if model.endswith((".safetensors", ".json")) else model


def _dashes(argv: list[str]) -> list[str]:
    """Accept ``--participant_label`` for ``--participant-label``, and so for every option."""
    return [
        re.sub(r"^--[^=]*", lambda match: match[0].replace("_", "-"), argument)
        for argument in argv
    ]


def _default(name: str) -> str:
    value = Settings.__dataclass_fields__[name].default
    return f"(default: {' '.join(value) if isinstance(value, tuple) else value})"


def _targets() -> tuple[str, ...]:
    # without FA there is no application: its absence is a missing model, not wrong usage
    return tuple(dict.fromkeys(("FA", *available_targets())))


def _check_generators(settings: Settings) -> None:
    unknown = sorted(set(settings.targets) - set(_targets()))
    if unknown:
        raise UsageError(
            f"--targets: no generator for {', '.join(unknown)} comes with this version; "
            f"accepted: {', '.join(_targets())}."
        )
    for name in settings.model:
        find_card(name)


def _check_paths(settings: Settings) -> None:
    """Every named input exists, and no output falls into the dataset by mistake."""
    _must_be("folder", settings.bids_dir, "BIDS_DIR")
    for name in ("bids_filter_file", "use_plugin"):
        path = getattr(settings, name)
        if path is not None:
            _must_be("file", path, f"--{name.replace('_', '-')}")
    for name, path in settings.derivatives:
        _must_be("folder", path, f"--derivatives {name}")
    if settings.output_dir == settings.bids_dir:
        raise UsageError(
            f"OUTPUT_DIR is the dataset itself ({settings.bids_dir}), which is never written to; "
            f"{settings.bids_dir / 'derivatives' / 'bids-gan'} would be a usual place."
        )
    if settings.work_dir == settings.bids_dir or settings.bids_dir in settings.work_dir.parents:
        raise UsageError(
            f"The work folder {settings.work_dir} lies inside the dataset, which is never written "
            "to; give another one with --work-dir."
        )


def _must_be(kind: str, path: Path, what: str) -> None:
    if not (path.is_dir() if kind == "folder" else path.is_file()):
        raise UsageError(f"{what}: there is no {kind} {path}.")
