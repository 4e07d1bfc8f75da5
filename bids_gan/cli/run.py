"""The command ``bids-gan``: what happens in which order, and the exit code."""

from __future__ import annotations

import io
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan.cli import lock
from bids_gan.cli.environment import prepare_environment
from bids_gan.cli.parser import parse_settings
from bids_gan.errors import (
    BidsGanError,
    DataError,
    ProcessingError,
    ResourceError,
    UsageError,
    explain,
    free_space,
)
from bids_gan.reports.times import elapsed
from bids_gan.settings import Settings

if TYPE_CHECKING:
    from bids_gan.bids.plan import Plan
    from bids_gan.cli.execute import Failure

INTERRUPTED = 130
INTERNAL = BidsGanError.exit_code


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments; those of the process when ``None``.

    Returns
    -------
    int
        0 done; 1 processing failed for somebody; 2 usage; 65 data; 69 model; 70 internal error;
        75 memory, disk space or device; 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no text
            # by lines: in a file that takes both, what is printed last stands last
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    folders: dict[str, Path] = {}
    try:
        settings = parse_settings(sys.argv[1:] if argv is None else argv)
        folders = settings.written_folders
        prepare_environment(settings)
        with _terminable():
            if settings.analysis_level == "group":
                _group(settings)
            else:
                _participant(settings)
    except SystemExit as err:  # --help, --version
        return int(err.code or 0)
    except BidsGanError as err:
        print(f"bids-gan: {err}", file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print("bids-gan: interrupted; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except MemoryError as err:
        print(f"bids-gan: not enough memory ({err}).", file=sys.stderr)
        return ResourceError.exit_code
    except Exception as err:
        if isinstance(err, OSError) and (known := explain(err, folders)) is not None:
            print(f"bids-gan: {known}", file=sys.stderr)
            return known.exit_code
        traceback.print_exc()
        print("bids-gan: internal error (see above); please report it.", file=sys.stderr)
        return INTERNAL
    return 0


def _group(settings: Settings) -> None:
    from bids_gan.reports.group import write_group

    if not settings.output_dir.is_dir():
        raise UsageError(
            f"OUTPUT_DIR {settings.output_dir} does not exist: run the participant level first."
        )
    with lock.hold_output(settings):
        write_group(settings.output_dir)
    print(f"Group table and page: {settings.output_dir / 'group.html'}")


def _participant(settings: Settings) -> None:
    from bids_gan.bids.description import check_output_dir
    from bids_gan.bids.plan import format_plan, make_plan
    from bids_gan.bids.queries import find_unreadable, open_layout
    from bids_gan.cli.execute import refusals

    start = time.time()
    check_output_dir(settings.output_dir)
    unreadable = find_unreadable(settings)
    plan = make_plan(open_layout(settings, unreadable), settings, unreadable)
    print(format_plan(plan), flush=True)
    if not settings.skip_bids_validation:
        _validate(settings.bids_dir)
    if not plan.runnable:
        raise DataError(f"nothing can be processed:\n{_listed(refusals(plan))}")
    if settings.dry_run:
        return
    _check_weights(settings)
    if not (settings.reports_only or settings.boilerplate_only):
        _check_device(settings)
    _make_folders(settings)
    with _alone(settings, plan):
        _record(settings, plan)
        if settings.reports_only:
            _write_reports(settings, plan)
        elif settings.boilerplate_only:
            _write_boilerplate(settings, plan)
        else:
            _conclude(_process(settings, plan), plan, settings, time.time() - start)


def _validate(bids_dir: Path) -> None:
    from bids_gan.bids.validate import validate

    result = validate(bids_dir)
    if result.n_warnings:
        print(f"\nBIDS validator: {result.n_warnings} warnings (recommendations, not errors).")
    if result.errors:
        errors = "\n".join(f"  - {error}" for error in result.errors)
        raise DataError(
            f"the BIDS validator found errors in {bids_dir}:\n{errors}\n"
            "Correct them, list files that do not matter in .bidsignore, or give "
            "--skip-bids-validation."
        )


def _check_weights(settings: Settings) -> None:
    """Refuse altered weights before anybody waits for them."""
    from bids_gan.models.registry import card_for_target, check_weights, find_card

    check_weights(find_card("anatomy"))
    for target in dict.fromkeys(("FA", *settings.targets)):
        check_weights(card_for_target(target, settings.model))


def _check_device(settings: Settings) -> None:
    """Refuse a device that is not there; where a plugin's jobs run is not known here."""
    from bids_gan.synthesis.device import choose_device

    # the others are always there, and need not have torch loaded in this process
    if settings.device.startswith("cuda") and settings.use_plugin is None:
        choose_device(settings.device)


def _make_folders(settings: Settings) -> None:
    logs = settings.log_dir.parent
    for folder, what in ((settings.work_dir, "--work-dir"), (logs, "OUTPUT_DIR")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise UsageError(
                f"{what}: the folder {folder} cannot be made ({err.strerror}); give another one."
            ) from err


@contextmanager
def _alone(settings: Settings, plan: Plan) -> Iterator[None]:
    """Be the only run on these people."""
    labels = [session.label for session in plan.sessions]
    with (
        lock.hold_output(settings, plan.sessions),
        lock.hold(settings.work_dir, labels, "--work-dir"),
    ):
        yield


def _record(settings: Settings, plan: Plan) -> None:
    """Keep what this run was told and decided."""
    from bids_gan.bids.description import write_description
    from bids_gan.bids.outputs import write_text, write_whole
    from bids_gan.bids.plan import format_plan

    write_description(settings)
    settings.log_dir.mkdir()
    write_whole(settings.log_dir / "bids-gan.toml", settings.to_toml)
    write_text(settings.log_dir / "plan.txt", format_plan(plan) + "\n")


def _process(settings: Settings, plan: Plan) -> list[Failure]:
    """Run everything for everybody; returns who is not finished."""
    from bids_gan.cli import execute

    if settings.clean_workdir:
        for session in plan.runnable:  # other people's may be in use by another run
            folder = execute.steps_dir(settings) / execute.WORKFLOW_NAME / session.workflow_name
            shutil.rmtree(folder, ignore_errors=True)
    execute.configure_nipype(settings)
    workflow, not_built = execute.build_workflow(plan, settings)
    if settings.write_graph:
        execute.draw_workflow(workflow, settings.log_dir)
    print(f"\nWork folder: {settings.work_dir}", flush=True)
    execute.run_workflow(workflow, plan, settings)
    unwritten = [
        failure
        for what, write in (("methods text", _write_boilerplate), ("report", _write_reports))
        if (failure := _attempt(what, write, settings, plan)) is not None
    ]
    return execute.find_failures(plan, settings, not_built) + unwritten


def _write_reports(settings: Settings, plan: Plan) -> None:
    from bids_gan.reports.subject import write_subject_reports

    write_subject_reports(settings, plan)


def _write_boilerplate(settings: Settings, plan: Plan) -> None:
    from bids_gan.reports.boilerplate import write_boilerplate

    write_boilerplate(settings, plan)


def _attempt(
    what: str, write: Callable[[Settings, Plan], None], settings: Settings, plan: Plan
) -> Failure | None:
    """Write a text that must not hide who was processed when it fails."""
    from bids_gan.cli.execute import Failure
    from bids_gan.reports.crashes import kind_of

    try:
        write(settings, plan)
    except Exception as err:
        trace = settings.log_dir / f"error-{what.replace(' ', '-')}.txt"
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        reason = f"{type(err).__name__}: {err}"
        return Failure(what, reason, trace, kind_of(reason))
    return None


def _conclude(failures: list[Failure], plan: Plan, settings: Settings, seconds: float) -> None:
    """Print the end of the story.

    Raises
    ------
    ResourceError, ProcessingError, DataError, ModelError
        Somebody is not finished.
    """
    failed = {failure.label for failure in failures}
    done = [session for session in plan.sessions if session.label not in failed]
    print(f"\n{len(done)} of {len(plan.sessions)} sessions finished in {elapsed(seconds)}.")
    for subject in dict.fromkeys(session.subject for session in plan.sessions):
        report = settings.output_dir / f"sub-{subject}.html"
        if report.exists():
            print(f"  report: {report}")
    if not failures:
        return
    text = f"not everything was finished:\n{_listed(failures)}"
    if not (settings.work_dir / lock.NAME).exists():
        text += (
            f"\n--work-dir {settings.work_dir} was removed while the run was at work: whoever had "
            "begun failed. The same command processes them again."
        )
    kinds = {failure.kind for failure in failures}
    if ResourceError in kinds:
        raise ResourceError(
            f"{text}\nMemory, disk space or the device did not suffice: give more of it, or fewer "
            "processes at once (--nprocs, --mem-mb), or --device cpu; disks: "
            f"{free_space(settings.written_folders)}. The same command goes on from here."
        )
    # with nobody finished, the common reason says more than that processing failed
    raise (kinds.pop() if not done and len(kinds) == 1 else ProcessingError)(text)


def _listed(failures: list[Failure]) -> str:
    """Who is not finished, why, and where more is told of it."""
    lines = []
    for failure in failures:
        lines.append(f"  {failure.label}: {failure.reason}")
        if failure.crash_file is not None:
            lines.append(f"    details: {failure.crash_file}")
    return "\n".join(lines)


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat the polite kill signal, which clusters send, like Ctrl-C: workers are ended too."""

    def interrupt(_signal, _frame):
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: signals are not ours
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
