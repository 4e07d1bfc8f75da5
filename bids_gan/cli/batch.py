"""What Nipype's plugins of batch systems are told beside the user's file."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.errors import UsageError

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow


@dataclass(frozen=True)
class _Request:
    """How a scheduler is asked for something, and how to see that the user's file asks already."""

    text: str
    named: str


#: plugin: its key for arguments of a job, and what a step declares
_SCHEDULERS = {
    "SLURM": (
        "sbatch_args",
        (
            _Request("--cpus-per-task={processors}", r"(?:^|\s)(?:--cpus-per-task|-c)"),
            _Request("--mem={mib}M", r"(?:^|\s)--mem"),
        ),
    ),
    # "select" and "nodes" hold both, and cannot stand beside the short forms
    "PBS": (
        "qsub_args",
        (
            _Request("-l ncpus={processors}", r"\b(?:ncpus|select|nodes)="),
            _Request("-l mem={mib}mb", r"\b(?:[pv]{0,2}mem|select|nodes)="),
        ),
    ),
}


def request_resources(workflow: Workflow, plugin: str, given: dict[str, Any]) -> None:
    """Have every step ask the scheduler for the processors and the memory that it declares.

    Parameters
    ----------
    workflow : Workflow
    plugin : str
        Name in the user's file. Others than SLURM and PBS are left alone: what memory and
        processors are called there is the site's own.
    given : dict
        ``plugin_args`` of the user's file; what they ask for themselves is not asked for again.
    """
    key, requests = _SCHEDULERS.get(plugin, ("", ()))
    said = f"{given.get(key, '')}\n{_template(given)}"
    missing = [request.text for request in requests if not re.search(request.named, said)]
    for name in workflow.list_node_names() if missing else ():
        node = workflow.get_node(name)
        numbers = {"processors": node.n_procs, "mib": math.ceil(node.mem_gb * 1024)}
        node.plugin_args = {key: " ".join(missing).format(**numbers)}


def check_path(work_dir: Path) -> None:
    """Refuse a work folder whose name a shell would take apart: Nipype does not quote it.

    Raises
    ------
    UsageError
    """
    special = "".join(letter for letter in str(work_dir) if letter.isascii())
    if shlex.quote(special) != special:
        raise UsageError(
            f"--work-dir {work_dir}: Nipype hands this path to the batch system unquoted, so it "
            "may hold no space and no sign that a shell interprets; give another folder."
        )


def _template(given: dict[str, Any]) -> str:
    """Head of the job scripts: Nipype takes the name of a file, or the text itself."""
    template = str(given.get("template", ""))
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return template
