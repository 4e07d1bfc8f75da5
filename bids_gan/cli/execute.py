"""Build one workflow of all people, run it with Nipype, and tell who failed and why."""

from __future__ import annotations

import gc
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.bids.outputs import missing_outputs
from bids_gan.bids.plan import Plan, SessionPlan
from bids_gan.cli.program import fingerprint
from bids_gan.cli.progress import Progress
from bids_gan.errors import BidsGanError, DataError, ProcessingError, UsageError
from bids_gan.reports import times
from bids_gan.reports.crashes import Crash, read_crashes
from bids_gan.reports.outcome import read_outcome
from bids_gan.settings import Settings

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow

#: names a folder, the same in every run, so that results are found again
WORKFLOW_NAME = "bids_gan_wf"
#: seconds between two questions to a batch system, which serves others too
BATCH_POLL = 5.0
#: seconds after which shared file systems show the files that another machine wrote
LATE_FILES = 30.0
#: missing files shown for each person
_SHOWN = 3


@dataclass(frozen=True)
class Failure:
    """Somebody who was not finished, and why."""

    label: str
    reason: str
    crash_file: Path | None = None
    #: what sort of failure it is, which decides the exit code
    kind: type[BidsGanError] = ProcessingError


def configure_nipype(settings: Settings) -> None:
    """Set Nipype's own options; crash files go to the log folder of the run."""
    from nipype import config, logging

    level = _log_level(settings)
    options = {
        "crashdump_dir": str(settings.log_dir),  # goes into the scripts of batch systems as text
        "crashfile_format": "txt",
        "stop_on_first_crash": settings.stop_on_first_crash,
        "check_version": False,
        "create_report": False,
        "poll_sleep_duration": 0.1 if settings.use_plugin is None else BATCH_POLL,
        "job_finished_timeout": LATE_FILES,
        # a later run with other options reuses what an earlier one made
        "remove_unnecessary_outputs": False,
    }
    levels = dict.fromkeys(("workflow_level", "utils_level", "interface_level"), level)
    config.update_config({"execution": options, "logging": levels})
    logging.update_logging(config)
    config.resource_monitor = settings.resource_monitor


def steps_dir(settings: Settings) -> Path:
    """Where the results of steps are, of this version of the program alone.

    Nipype asks whether the inputs of a step have changed, not whether its code has.
    """
    return settings.work_dir / f"bids-gan-{fingerprint()}"


def build_workflow(plan: Plan, settings: Settings) -> tuple[Workflow, list[Failure]]:
    """One workflow of all sessions, and those whose workflow could not be built."""
    from nipype.pipeline.engine import Workflow

    from bids_gan.workflows.base import init_session_wf

    workflow = Workflow(name=WORKFLOW_NAME, base_dir=str(steps_dir(settings)))
    failures = []
    for session in plan.runnable:
        try:
            part = init_session_wf(session, settings)
        except DataError as err:
            failures.append(Failure(session.label, str(err), kind=DataError))
            continue
        if part.name != session.workflow_name:  # crash files could not be assigned
            raise RuntimeError(f"workflow {part.name} must be named {session.workflow_name}")
        workflow.add_nodes([part])
    return workflow, failures


def run_workflow(workflow: Workflow, plan: Plan, settings: Settings) -> None:
    """Run all steps; what fails leaves a crash file and does not stop other people.

    Raises
    ------
    UsageError
        The file of ``--use-plugin`` cannot be used.
    """
    progress = Progress(
        {session.workflow_name: session.label for session in plan.sessions},
        _count_steps(workflow),
        verbose=settings.verbose > 0,
        times=settings.log_dir / times.NAME,
    )
    runner = _runner(workflow, settings, progress)
    _warn_of_memory(workflow, getattr(runner, "memory_gb", _memory_gb(settings)))
    # Nipype collects garbage whenever it looks for finished steps: what is loaded by now is none,
    # and going through all of it again would keep this process busy throughout
    gc.freeze()
    try:
        workflow.run(plugin=runner)
    except Exception:
        # Nipype raises at the end when steps have failed: the crash files tell it better, unless
        # there was no room for their text
        if not any(crash.exception for crash in read_crashes(settings.log_dir)):
            raise
    finally:
        gc.unfreeze()
        if hasattr(runner, "stop"):
            runner.stop()
    _keep_monitor(workflow, settings)


def draw_workflow(workflow: Workflow, log_dir: Path) -> None:
    """Write the graph of the workflow as ``graph.svg``, or ``graph.dot`` without graphviz."""
    try:
        workflow.write_graph(str(log_dir / "graph.dot"), graph2use="colored", format="svg")
    except OSError:  # Nipype writes the .dot file before it looks for graphviz
        print(f"graphviz is not installed: the graph is in {log_dir / 'graph.dot'} only.")


def refusals(plan: Plan) -> list[Failure]:
    """Sessions that the plan refuses."""
    return [Failure(s.label, " ".join(s.problems), kind=DataError) for s in plan.refused]


def find_failures(plan: Plan, settings: Settings, not_built: list[Failure]) -> list[Failure]:
    """Everybody of the plan who is not finished: refused, crashed, or with missing outputs."""
    failures = [*refusals(plan), *not_built]
    unbuilt = {failure.label for failure in not_built}
    crashes = read_crashes(settings.log_dir)
    for session in plan.runnable:
        # by step: a batch job and the process that waits for it write a crash file each
        mine = {
            crash.step: crash for crash in crashes if crash.workflow_name == session.workflow_name
        }
        if mine:
            failures += [_crashed(session, crash) for crash in mine.values()]
        elif session.label not in unbuilt:
            failures += _incomplete(session, settings) or _withdrawn(session, settings)
    return failures


def _crashed(session: SessionPlan, crash: Crash) -> Failure:
    return Failure(
        session.label,
        f"{crash.exception}: {crash.message} (step: {_step_words(crash.step)})",
        crash.path,
        crash.kind,
    )


def _step_words(step: str) -> str:
    return step.replace("_wf", "").replace("_", " ").replace(".", ", ")


def _incomplete(session: SessionPlan, settings: Settings) -> list[Failure]:
    missing = missing_outputs(session, settings)
    if not missing:
        return []
    shown = ", ".join(str(path) for path in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return [Failure(session.label, f"no step failed, but outputs are missing: {shown}{more}")]


def _withdrawn(session: SessionPlan, settings: Settings) -> list[Failure]:
    """Corrections that the gate withdrew, where that counts as a failure."""
    if settings.sdc_on_failure == "warn":
        return []
    outcomes = {run.label: read_outcome(settings.output_dir, run) for run in session.dwi}
    return [
        Failure(
            session.label,
            f"{label}: {outcome.sentence} Written without distortion correction; "
            "--sdc-on-failure warn accepts that.",
        )
        for label, outcome in outcomes.items()
        if outcome.withdrawn
    ]


def _count_steps(workflow: Workflow) -> int:
    """Steps that do something; Nipype removes those that only pass values on."""
    from nipype.interfaces.utility import IdentityInterface

    nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
    return sum(not isinstance(node.interface, IdentityInterface) for node in nodes)


def _runner(workflow: Workflow, settings: Settings, progress: Progress) -> Any:
    """Nipype plugin: of the YAML file, else one process or a pool of processes."""
    name, given = "Linear" if settings.nprocs == 1 else "MultiProc", {}
    if settings.use_plugin is not None:
        name, given = _read_plugin(settings.use_plugin)
    from bids_gan.cli.batch import check_path, request_resources
    from bids_gan.cli.plugin import WorkerPoolPlugin, batch_plugin

    if name == "MultiProc":
        return WorkerPoolPlugin({**_limits(settings), **given, "status_callback": progress})
    from nipype.pipeline import plugins

    plugin = getattr(plugins, f"{name}Plugin")
    if issubclass(plugin, (plugins.base.SGELikeBatchManagerBase, plugins.base.GraphPluginBase)):
        check_path(settings.work_dir)
        request_resources(workflow, name, given)
    if issubclass(plugin, plugins.base.DistributedPluginBase):
        plugin = batch_plugin(plugin)
    # the plugins of batch systems take nothing by position
    return plugin(plugin_args={**given, "status_callback": progress})


def _limits(settings: Settings) -> dict[str, Any]:
    """What the pool of processes is told, unless the YAML file says otherwise."""
    limits = {
        "n_procs": settings.nprocs,
        "raise_insufficient": False,
        "log_level": _log_level(settings),
        "monitor": settings.resource_monitor,
    }
    return limits if settings.mem_mb is None else {**limits, "memory_gb": _memory_gb(settings)}


def _memory_gb(settings: Settings) -> float:
    return math.inf if settings.mem_mb is None else settings.mem_mb / 1024


def _warn_of_memory(workflow: Workflow, limit: float) -> None:
    """Say which step needs most when that is more than `limit` (GiB): it runs nevertheless."""
    steps = [workflow.get_node(name) for name in workflow.list_node_names()]
    most = max(steps, key=lambda step: step.mem_gb, default=None)
    if most is not None and most.mem_gb > limit:
        print(
            f"bids-gan: {limit * 1024:.0f} MB of memory (--mem-mb, the plugin file, or what the "
            f"machine has) are less than the step {_step_words(most.fullname)} may take: "
            f"{most.mem_gb * 1024:.0f} MB. It runs alone, and fails if that does not suffice.",
            file=sys.stderr,
        )


def _read_plugin(path: Path) -> tuple[str, dict[str, Any]]:
    import yaml
    from nipype.pipeline import plugins

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise UsageError(f"--use-plugin {path} is not valid YAML: {err}") from err
    names = [
        name.removesuffix("Plugin")
        for name in dir(plugins)
        if name.endswith("Plugin") and isinstance(getattr(plugins, name), type)
    ]
    name = content.get("plugin") if isinstance(content, dict) else None
    arguments = (content.get("plugin_args") or {}) if name in names else None
    if not isinstance(arguments, dict):
        raise UsageError(
            f"--use-plugin {path} must hold 'plugin: NAME' and, if needed, 'plugin_args:' with "
            f"values by name; NAME is one of {', '.join(names)}."
        )
    return name, dict(arguments)


def _log_level(settings: Settings) -> str:
    # the lines of `Progress` and the crash files say the same in plain words
    return ("CRITICAL", "INFO", "DEBUG")[min(settings.verbose, 2)]


def _keep_monitor(workflow: Workflow, settings: Settings) -> None:
    record = Path(workflow.base_dir) / workflow.name / "resource_monitor.json"
    if settings.resource_monitor and record.exists():
        shutil.copyfile(record, settings.log_dir / record.name)
