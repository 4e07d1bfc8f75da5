"""The report of each person: what was asked, what was done and why, shown and in numbers.

Parts that hold text are rendered here, escaped, into ``<person>/figures/*.html``; nireports puts
them together with the figures by ``data/reports-spec.yml``.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bids_gan.bids.outputs import output_path, write_text, write_whole
from bids_gan.errors import ProcessingError
from bids_gan.reports import bibliography, boilerplate
from bids_gan.reports.appearance import compare_appearance
from bids_gan.reports.comparison import read_difference, why_unchecked
from bids_gan.reports.crashes import read_crashes
from bids_gan.reports.numbers import DATA, describe, sort_names
from bids_gan.reports.outcome import (
    OUT_OF_DISTRIBUTION,
    STATES,
    read_outcome,
    read_synthesis,
    sidecar_of,
    worst,
)
from bids_gan.reports.pages import render
from bids_gan.reports.times import elapsed, is_drawing, read_times, step_in_words
from bids_gan.reports.viewer import viewer_path, write_viewer
from bids_gan.text import read_json

if TYPE_CHECKING:
    from bids_gan.bids.plan import Plan, SessionPlan
    from bids_gan.settings import Settings

#: of a crash file; its end says most
MAX_CHARACTERS = 20_000


def write_subject_reports(settings: Settings, plan: Plan) -> list[Path]:
    """Write ``sub-<label>.html`` for everybody in the plan, from the files that exist.

    Parameters
    ----------
    settings : Settings
    plan : Plan

    Returns
    -------
    list of Path
        The reports.

    Raises
    ------
    ProcessingError
        Naming the people whose report could not be written; all others are written before.
    """
    reports, failures = [], []
    for subject in dict.fromkeys(session.subject for session in plan.sessions):
        try:
            reports.append(_write_report(settings, plan, subject))
        except Exception as err:
            failures.append(f"sub-{subject}.html ({type(err).__name__}: {err})")
    if failures:
        raise ProcessingError(
            f"these reports could not be written: {'; '.join(failures)}. The images are not "
            "affected; try again with --reports-only."
        )
    return reports


def _write_report(settings: Settings, plan: Plan, subject: str) -> Path:
    from nireports.assembler.report import Report

    sessions = tuple(s for s in plan.sessions if s.subject == subject)
    person = {"subject": subject}
    for session in sessions:
        write_viewer(settings, session, anew=settings.reports_only)
    parts = {
        _part(person, "summary"): _summary(settings, plan, sessions),
        _part(person, "about"): _about(settings, sessions),
        _part(person, "errors"): _errors(settings, sessions),
    }
    for session in sessions:
        parts |= _session_parts(settings, session)
    for name, html in parts.items():
        write_text(settings.output_dir / name, html)
    path = settings.output_dir / output_path("report", person)

    def assemble(part: Path) -> None:
        Report(
            settings.output_dir,
            settings.run_uuid,
            bootstrap_file=DATA / "reports-spec.yml",
            out_filename=part.name,
            # only this person's folder is searched: a dataset of thousands would take minutes each
            reportlets_dir=settings.output_dir / f"sub-{subject}",
            metadata={"template_path": json.dumps(str(DATA / "report.html.jinja"))},
            subject=subject,
        ).generate_report()

    write_whole(path, assemble)
    return path


def _part(entities: dict[str, str], what: str, suffix: str = "report") -> PurePosixPath:
    """Where a part with text lies, relative to the output folder: among the figures."""
    key = "figure_run" if suffix == "dwi" else "figure_session"
    return output_path(key, entities, what=what, suffix=suffix).with_suffix(".html")


def _session_parts(settings: Settings, session: SessionPlan) -> dict[PurePosixPath, str]:
    """Numbers of each diffusion run, and what is known of the generator."""
    parts = {}
    for run in session.dwi:
        outcome = read_outcome(settings.output_dir, run)
        difference = read_difference(settings.output_dir, run) if outcome.finished else {}
        other = difference.pop("other", "")
        numbers = outcome.numbers | difference
        rows = [describe(name) | {"value": numbers[name]} for name in sort_names(numbers)]
        parts[_part(run.entities, "quality", "dwi")] = render(
            "quality.html.jinja",
            outcome=outcome,
            rows=rows,
            words=STATES,
            other=other,
            unchecked=why_unchecked(settings.output_dir, run),
        )
    for target in settings.synthesised:
        key = f"synth_{target.lower()}"
        if model := read_json(sidecar_of(settings.output_dir, key, session.entities)):
            facts = {name: value for name, value in model.items() if _is_plain(value)}
            page = render(
                "generator.html.jinja",
                facts=facts,
                features=compare_appearance(model),
                target=target,
                limit=OUT_OF_DISTRIBUTION,
            )
            parts[_part(session.entities, "generator", target)] = page
    return parts


def _is_plain(value: Any) -> bool:
    """Whether a sidecar entry reads well in a table: no nested records."""
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, dict | list) for item in items)


def _summary(settings: Settings, plan: Plan, sessions: tuple[SessionPlan, ...]) -> str:
    shown = [_summarise(settings, plan, session) for session in sessions]
    states = [state for session in shown for state in session["states"]]
    state = worst(states)
    sentence = {
        "good": "Everything that was asked was done.",
        "attention": "Finished, with something to decide for yourself.",
        "bad": "Something is missing; see also the section Errors.",
    }[state]
    return render(
        "summary.html.jinja",
        state=state,
        sentence=sentence,
        reasons=[reason for session in shown for reason in session["reasons"]],
        words=STATES,
        plan=plan,
        sessions=shown,
        targets=", ".join(settings.synthesised),
        versions=boilerplate.software_versions(),
    )


def _summarise(settings: Settings, plan: Plan, session: SessionPlan) -> dict[str, Any]:
    """One session as the summary shows it."""
    runs = [
        {
            "plan": run,
            "name": _relative(plan, run.path),
            "outcome": read_outcome(settings.output_dir, run),
        }
        for run in session.dwi
    ]
    synthesis = [
        read_synthesis(settings.output_dir, session.entities, target)
        for target in settings.synthesised
    ]
    done = [(run["plan"].label, run["outcome"]) for run in runs]
    done += zip((f"synthetic {target}" for target in settings.synthesised), synthesis, strict=True)
    viewer = viewer_path(settings, session)
    states = ["bad"] * bool(session.problems) + [run["outcome"].state for run in runs]
    return {
        "plan": session,
        "viewer": viewer.relative_to(settings.output_dir) if viewer.is_file() else None,
        "t1w": _relative(plan, session.t1w.path) if session.t1w else "",
        "others": [_relative(plan, path) for path in session.t1w.others] if session.t1w else [],
        "synthesis": synthesis,
        "runs": runs,
        "reasons": [
            (f"{session.label}, {what}", outcome)
            for what, outcome in done
            if outcome.state != "good" and not session.problems
        ],
        "times": _times(settings, session),
        "states": [*states, *(outcome.state for outcome in synthesis)],
    }


def _times(settings: Settings, session: SessionPlan) -> dict[str, Any] | None:
    """Run time of a session, in all and of each step; None where no run has noted it."""
    seconds = read_times(settings.log_dir.parent, session.workflow_name)
    if not seconds:
        return None
    total = sum(seconds.values())
    drawing = sum(value for step, value in seconds.items() if is_drawing(step))
    return {
        "total": elapsed(total),
        "drawing": elapsed(drawing),
        "share": f"{drawing / max(total, 1e-6):.0%}",
        "steps": [(step_in_words(step), elapsed(value)) for step, value in seconds.items()],
    }


def _about(settings: Settings, sessions: tuple[SessionPlan, ...]) -> str:
    from markupsafe import Markup

    methods = bibliography.to_html(boilerplate.methods_text(settings, sessions))
    return render(
        "about.html.jinja",
        methods=Markup(methods),  # escaped by `to_html`
        command=rerun_command(settings, sessions[0].subject),
        versions=boilerplate.software_versions(),
    )


def rerun_command(settings: Settings, subject: str) -> str:
    """Shell command that processes one person again, with the settings that the run stored."""
    words = ["bids-gan", settings.bids_dir, settings.output_dir, "participant"]
    words += ["--participant-label", subject, "--work-dir", settings.work_dir]
    if stored := next(iter(sorted(settings.log_dir.glob("*.toml"))), None):
        words += ["--config-file", stored]
    return shlex.join(str(word) for word in words)


def _errors(settings: Settings, sessions: tuple[SessionPlan, ...]) -> str:
    """Crash files of all runs that concern these sessions, newest first."""
    names = {session.workflow_name for session in sessions}
    found = read_crashes(settings.output_dir / "logs")
    crashes = [
        {
            "file": crash.path.relative_to(settings.output_dir).as_posix(),
            "step": crash.step,
            "message": f"{crash.exception}: {crash.message}",
            "text": crash.path.read_text(encoding="utf-8", errors="replace")[-MAX_CHARACTERS:],
        }
        for crash in reversed(found)
        if crash.workflow_name in names
    ]
    return render("errors.html.jinja", crashes=crashes)


def _relative(plan: Plan, path: Path) -> str:
    inside = plan.bids_dir in path.parents
    return path.relative_to(plan.bids_dir).as_posix() if inside else str(path)
