"""What will be done with every image of the dataset, and why: decided before anything is run.

Pure data: no image is loaded (headers may be read). What forbids to process a session becomes one
of its problems: it is refused, and the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.bids import queries
from bids_gan.bids.acquisition import (
    Fact,
    gradient_correction,
    phase_encoding,
    readout_time,
    shapes_differ,
)
from bids_gan.bids.anatomical import choose_image, reusable_brain_mask
from bids_gan.bids.gradients import (
    MIN_WEIGHTED_VOLUMES,
    WEIGHTED_ABOVE,
    gradient_fault,
    weighted_volumes,
)
from bids_gan.bids.measured import find_measured
from bids_gan.bids.opposite import find_candidates
from bids_gan.bids.preview import format_plan
from bids_gan.bids.queries import relative
from bids_gan.bids.route import Candidates, Route, choose_route
from bids_gan.settings import Settings

if TYPE_CHECKING:
    from bids.layout import BIDSFile, BIDSLayout

__all__ = [
    "DiffusionRun",
    "Plan",
    "Session",
    "SessionPlan",
    "T1wChoice",
    "format_plan",
    "make_plan",
]


@dataclass(frozen=True)
class T1wChoice:
    """The T1w of a session, why this one, and those that were not taken."""

    path: Path
    reason: str
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DiffusionRun:
    """One diffusion run with what its correction needs and where that was found."""

    path: Path
    bval: Path
    bvec: Path
    #: its own JSON file, or the closest that applies to it
    sidecar: Path | None
    #: BIDS entities without suffix, extension and datatype
    entities: dict[str, str]
    pe_direction: str | None
    pe_source: str
    #: seconds
    readout_time: float | None
    readout_source: str
    correction: Route

    @property
    def route(self) -> str:
        """Name of the route."""
        return self.correction.name

    @property
    def reason(self) -> str:
        """Why this route."""
        return self.correction.reason

    @property
    def label(self) -> str:
        """What tells this run from others of the session, as in ``dir-AP run-1``."""
        return " ".join(self.path.name.split("_")[1:-1]) or "dwi"


@dataclass(frozen=True)
class Session:
    """One session of one person (``session`` is ``None`` in datasets without sessions)."""

    subject: str
    session: str | None

    @property
    def entities(self) -> dict[str, str]:
        """BIDS entities of the session."""
        labels = {"subject": self.subject, "session": self.session}
        return {entity: label for entity, label in labels.items() if label is not None}

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01 ses-a``."""
        return f"sub-{self.subject}" + (f" ses-{self.session}" if self.session else "")


@dataclass(frozen=True)
class SessionPlan(Session):
    """What is done with a session's T1w and diffusion runs."""

    t1w: T1wChoice | None
    dwi: tuple[DiffusionRun, ...] = ()
    problems: tuple[str, ...] = ()
    #: what the user should know: images left out, with the reason
    notes: tuple[str, ...] = ()
    #: mask of the T1w to use in place of computing one
    brain_mask: Path | None = None
    brain_mask_reason: str = "computed"

    @property
    def workflow_name(self) -> str:
        """Name of the session's workflow; crash files are assigned to people by it."""
        return re.sub(r"\W", "_", self.label) + "_wf"


@dataclass(frozen=True)
class Plan:
    """All sessions in question."""

    bids_dir: Path
    sessions: tuple[SessionPlan, ...]
    notes: tuple[str, ...] = ()

    @property
    def runnable(self) -> tuple[SessionPlan, ...]:
        """Sessions that can be processed."""
        return tuple(session for session in self.sessions if not session.problems)

    @property
    def refused(self) -> tuple[SessionPlan, ...]:
        """Sessions with problems."""
        return tuple(session for session in self.sessions if session.problems)


def make_plan(
    layout: BIDSLayout, settings: Settings, unreadable: Mapping[Path, str] | None = None
) -> Plan:
    """Decide what to do with each person, session and diffusion run.

    Parameters
    ----------
    layout
        Index of ``settings.bids_dir`` (`bids_gan.bids.queries.open_layout`).
    settings
        Of the run.
    unreadable
        Files that the index was made without, each with its fault; their owners are refused.

    Returns
    -------
    Plan
        Every T1w and diffusion image of the chosen people and sessions is accounted for in it.

    Raises
    ------
    UsageError
        Unknown labels, or a filter file that does not fit the dataset.
    DataError
        The dataset holds nobody.
    """
    filters = queries.load_filters(settings)
    sessions: list[SessionPlan] = []
    notes: list[str] = []
    for subject in queries.select_participants(settings):
        found, without_file = _existing(
            queries.find_images(layout, filters["t1w"], subject), settings
        )
        t1w = queries.by_session(found)
        notes += without_file
        dwi = queries.by_session(queries.find_images(layout, filters["dwi"], subject))
        labels, absent = _sessions(settings, subject, {*t1w, *dwi})
        notes += absent
        faults = _of_person(settings, subject, unreadable or {})
        for session in labels:
            planned = _plan_session(layout, settings, subject, session, t1w, dwi)
            # what the unreadable files would have said is not missing
            sessions.append(replace(planned, problems=faults) if faults else planned)
    return Plan(settings.bids_dir, tuple(sessions), tuple(notes))


def _of_person(settings: Settings, subject: str, files: Mapping[Path, str]) -> tuple[str, ...]:
    """What is wrong with those of the files that lie in a person's folder."""
    folder = settings.bids_dir / f"sub-{subject}"
    return tuple(
        f"{relative(settings, path)} {fault}. Mend or remove that file."
        for path, fault in files.items()
        if folder in path.parents
    )


def _existing(images: list[BIDSFile], settings: Settings) -> tuple[list[BIDSFile], list[str]]:
    """Images that are files, and a note on each that is not."""
    absent = [image for image in images if not Path(image.path).is_file()]
    notes = [f"{relative(settings, image.path)} left out: {queries.NO_FILE}." for image in absent]
    return [image for image in images if image not in absent], notes


def _sessions(
    settings: Settings, subject: str, with_images: set[str | None]
) -> tuple[list[str | None], list[str]]:
    """Sessions of a person to plan, and a note on each that has nothing to plan."""
    found = sorted(with_images, key=lambda label: label or "")
    existing = queries.list_labels(settings.bids_dir / f"sub-{subject}", "ses-")
    wanted = list(settings.session_label)
    chosen = [label for label in found if not wanted or label in wanted]
    notes = [
        f"sub-{subject} ses-{label}: no T1w and no diffusion image, nothing to do."
        for label in (wanted or existing)
        if chosen and label not in found
    ]
    # a person without any image still gets a line in the plan, and a refusal
    return chosen or [None], notes


def _plan_session(
    layout: BIDSLayout,
    settings: Settings,
    subject: str,
    session: str | None,
    t1w_by_session: dict[str | None, list[BIDSFile]],
    dwi_by_session: dict[str | None, list[BIDSFile]],
) -> SessionPlan:
    """Plan one session."""
    t1w, t1w_session = _t1w(session, t1w_by_session)
    images = dwi_by_session.get(session, [])
    of_t1w = gradient_correction(layout.get_metadata(str(t1w.path)) if t1w and images else {})
    runs: list[DiffusionRun] = []
    notes: list[str] = []
    problems: list[str] = []
    candidates = Candidates(
        measured=tuple(find_measured(layout, subject, session)),
        opposite=tuple(find_candidates(layout, settings, subject, session, images)),
    )
    for image in images:
        run, fault, note = _plan_run(layout, settings, image, runs, candidates)
        runs += [run] if run else []
        problems += [fault] if fault else []
        notes += [note] if note else []
        if run and run.route == "synth":
            notes += shapes_differ(run.path, of_t1w, gradient_correction(image.get_metadata()))
    mask, mask_reason = None, "computed"
    if t1w is None:
        problems = [_no_t1w(settings, subject, session, images), *problems]
        runs = [
            replace(run, correction=Route("none", "no T1w to synthesise from")) for run in runs
        ]
    else:
        mask, mask_reason = reusable_brain_mask(
            t1w.path, subject, t1w_session, settings.derivatives
        )
    return SessionPlan(
        subject=subject,
        session=session,
        t1w=t1w,
        dwi=tuple(runs),
        problems=tuple(problems),
        notes=tuple(notes),
        brain_mask=mask,
        brain_mask_reason=mask_reason,
    )


def _t1w(
    session: str | None, by_session: dict[str | None, list[BIDSFile]]
) -> tuple[T1wChoice | None, str | None]:
    """T1w of the session, else of the person's first session that has one."""
    if not by_session:
        return None, None
    own = session in by_session
    source = session if own else min(by_session, key=lambda label: label or "")
    candidates = {Path(image.path): image.get_entities() for image in by_session[source]}
    path, reason, others = choose_image(candidates)
    if not own:
        where = f"ses-{source}" if source else "the person's folder without session"
        reason = f"borrowed from {where}, since this session has none ({reason})"
    return T1wChoice(path, reason, others), source


def _no_t1w(settings: Settings, subject: str, session: str | None, images: list[BIDSFile]) -> str:
    folder = f"sub-{subject}/" + (f"ses-{session}/" if session else "")
    name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
    waiting = ", ".join(relative(settings, image.path) for image in images)
    return (
        f"no T1w image: synthesis starts from {folder}anat/{name}_T1w.nii.gz (or .nii), also with "
        "acq-, rec- or run- in the name, or from a T1w of another session of this person. "
        + (f"Without it nothing can be done with {waiting}. " if waiting else "")
        + "If there is one, check its name, whether it is a link that leads nowhere, "
        "--bids-filter-file, and the index in --bids-database-dir."
    )


def _plan_run(
    layout: BIDSLayout,
    settings: Settings,
    image: BIDSFile,
    before: list[DiffusionRun],
    candidates: Candidates,
) -> tuple[DiffusionRun | None, str | None, str | None]:
    """Plan one diffusion image: the run, what its session is refused for, a note if left out."""
    path = Path(image.path)
    name = relative(settings, path)
    entities = {
        entity: str(value)
        for entity, value in image.get_entities().items()
        if entity not in ("suffix", "extension", "datatype")
    }
    if entities.get("part", "mag") != "mag":
        return None, None, f"{name} left out: part-{entities['part']} is no magnitude image."
    if not path.is_file():
        return None, *_unless_warned(settings, f"{name}: {queries.NO_FILE}.", name)
    twin = next((run for run in before if run.entities == entities), None)
    if twin is not None:
        fault = f"{name} cannot be told from {twin.path.name} by BIDS entities: rename one"
        return None, *_unless_warned(settings, f"{fault} (run-1, run-2).", name)
    bval, bvec = (queries.nearest(layout, image, extension) for extension in (".bval", ".bvec"))
    fault = gradient_fault(path, bval, bvec)
    if fault:
        return None, *_unless_warned(settings, f"{name}: {fault}", name)
    weighted = weighted_volumes(bval)
    if weighted < MIN_WEIGHTED_VOLUMES:
        note = (
            f"{name} left out: {weighted} volumes with b > {WEIGHTED_ABOVE:g} s/mm² in "
            f"{bval.name}, and a tensor needs {MIN_WEIGHTED_VOLUMES}."
        )
        return None, None, note
    metadata: dict[str, Any] = image.get_metadata()
    pe = phase_encoding(metadata)
    readout = readout_time(metadata, path, pe.value, settings.fallback_total_readout_time)
    sidecar = queries.nearest(layout, image, ".json")
    missing = {
        what: fact
        for what, fact in (("phase-encoding direction", pe), ("readout time", readout))
        if fact.value is None
    }
    if settings.sdc == "none":
        route = Route("none", "--sdc none")
    elif missing:
        where = sidecar or path.with_name(f"{path.name.split('.')[0]}.json")
        route = Route(
            "none",
            f"cannot be corrected without {' and '.join(missing)}",
            fault=_metadata_fault(name, relative(settings, where), missing.values()),
        )
    else:
        route = choose_route(settings, path, pe.value, metadata, candidates)
    run = DiffusionRun(
        path=path,
        bval=bval,
        bvec=bvec,
        sidecar=sidecar,
        entities=entities,
        pe_direction=pe.value,
        pe_source=pe.source,
        readout_time=readout.value,
        readout_source=readout.source,
        correction=route,
    )
    return run, route.fault if settings.sdc_on_failure == "error" else None, None


def _metadata_fault(name: str, sidecar: str, missing: Iterable[Fact]) -> str:
    return (
        f"{name} cannot be corrected. {sidecar}: {'; '.join(fact.source for fact in missing)}. "
        f"To correct it: {'; '.join(fact.remedy for fact in missing)}. To process it uncorrected: "
        "--sdc-on-failure warn (only such runs) or --sdc none (all runs)."
    )


def _unless_warned(settings: Settings, fault: str, name: str) -> tuple[str | None, str | None]:
    """Refuse the session for a run that cannot be processed, or leave it out with a note."""
    if settings.sdc_on_failure == "warn":
        return None, f"{name} left out: {fault}"
    return f"{fault} Or leave this run out: --sdc-on-failure warn.", None
