"""How a diffusion run is corrected: by the best that was acquired, or as the user asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_gan.bids.intended import is_linked
from bids_gan.bids.measured import MeasuredField, choose_measured
from bids_gan.bids.opposite import Opposite, choose_opposite
from bids_gan.bids.queries import relative
from bids_gan.settings import Settings

#: what would have served, for a route that was asked for and cannot be taken
_REMEDIES = {
    "measured": (
        "Accepted are, in fmap/ of the same session, *_phasediff with EchoTime1 and EchoTime2, "
        "*_phase1 and *_phase2 with EchoTime, each with *_magnitude1, and *_fieldmap with Units "
        "and *_magnitude; with no B0FieldIdentifier or IntendedFor, or with one that names this "
        "run."
    ),
    "reverse-pe": (
        "Accepted are other diffusion images of the session and fmap/*_epi images, with "
        "PhaseEncodingDirection and TotalReadoutTime in their JSON files, and with no IntendedFor "
        "or one that names this run."
    ),
}
_WAY_OUT = (
    "To use the best route that the data allow: --sdc auto; to process it uncorrected: "
    "--sdc-on-failure warn."
)


@dataclass(frozen=True)
class Candidates:
    """What was acquired in a session that may tell the field of some run."""

    measured: tuple[MeasuredField, ...] = ()
    opposite: tuple[Opposite, ...] = ()


@dataclass(frozen=True)
class Route:
    """How a run is corrected, why, and with what.

    Attributes
    ----------
    name : {'measured', 'reverse-pe', 'synth', 'none'}
    reason : str
    measured : MeasuredField or None
        For route ``measured``.
    opposite : Opposite or None
        Image of opposite phase encoding, for route ``reverse-pe``.
    fault : str
        Why the route that was asked for cannot be taken, and what would help.
    check : Route or None
        Another field that was acquired, with which the one of this route is compared.
    """

    name: str
    reason: str
    measured: MeasuredField | None = None
    opposite: Opposite | None = None
    fault: str = ""
    check: Route | None = None

    @property
    def sources(self) -> tuple[Path, ...]:
        """Images that the field is made of, beside the run itself."""
        if self.measured:
            return self.measured.sources
        return (self.opposite.path,) if self.opposite else ()

    @property
    def origin(self) -> str:
        """What tells the field, in words."""
        if self.measured:
            return self.measured.paths[0].name
        return f"the pair with {self.opposite.path.name}" if self.opposite else "the synthetic FA"


def choose_route(
    settings: Settings,
    path: Path,
    pe_direction: str,
    metadata: Mapping[str, Any],
    candidates: Candidates,
) -> Route:
    """Route of a run whose phase encoding is known.

    Parameters
    ----------
    settings : Settings
    path : Path
        Of the run.
    pe_direction : str
    metadata : mapping
        Content of the run's JSON file.
    candidates : Candidates
        Of its session.

    Returns
    -------
    Route
        ``auto`` is a measured field, else the image of opposite phase encoding, else the
        synthetic FA. What was acquired beside it becomes its check.
    """
    route = _first_choice(settings, path, pe_direction, metadata, candidates)
    return replace(route, check=_check(route, path, pe_direction, metadata, candidates))


def _first_choice(
    settings: Settings,
    path: Path,
    pe_direction: str,
    metadata: Mapping[str, Any],
    candidates: Candidates,
) -> Route:
    asked = settings.sdc
    unused = ""
    if asked in ("auto", "measured"):
        field = choose_measured(path, metadata, candidates.measured)
        if field and not field.fault:
            return Route("measured", _measured_reason(settings, field), measured=field)
        if field:
            unused = f"{relative(settings, field.paths[0])} cannot be used: {field.fault}"
        if asked == "measured":
            return _refused(settings, path, asked, unused or "no measured field map")
    if asked in ("auto", "reverse-pe"):
        opposite = choose_opposite(path, pe_direction, metadata, candidates.opposite)
        if opposite:
            reason = f"{relative(settings, opposite.path)} has the opposite phase encoding"
            return Route("reverse-pe", _joined(reason, unused), opposite=opposite)
        if asked == "reverse-pe":
            reason = f"no image with phase encoding opposite to {pe_direction}"
            return _refused(settings, path, asked, reason)
    return Route("synth", _joined("displacement estimated against the synthetic FA", unused))


def _check(
    route: Route,
    path: Path,
    pe_direction: str,
    metadata: Mapping[str, Any],
    candidates: Candidates,
) -> Route | None:
    """What was acquired and `route` does not use; a measured field before an opposite image."""
    if route.name == "none":
        return None
    if route.name != "measured":
        field = choose_measured(path, metadata, candidates.measured)
        if field and not field.fault:
            return Route("measured", "acquired too", measured=field)
    if route.name != "reverse-pe":
        opposite = choose_opposite(path, pe_direction, metadata, candidates.opposite)
        if opposite:
            return Route("reverse-pe", "acquired too", opposite=opposite)
    return None


def _measured_reason(settings: Settings, field: MeasuredField) -> str:
    name = relative(settings, field.paths[0])
    if is_linked(field.metadata):
        return f"{name} measures the field"
    return f"{name} measures the field (in the same session; it names no image it is meant for)"


def _refused(settings: Settings, path: Path, asked: str, reason: str) -> Route:
    fault = f"{relative(settings, path)}: {reason}. {_REMEDIES[asked]} {_WAY_OUT}"
    return Route("none", reason, fault=fault)


def _joined(reason: str, unused: str) -> str:
    return f"{reason}; {unused}" if unused else reason
