"""Measured field maps of a session: phase differences, pairs of phases, maps of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.bids import queries
from bids_gan.bids.intended import is_linked, is_meant

if TYPE_CHECKING:
    from bids.layout import BIDSFile, BIDSLayout

#: suffix of what tells the field -> suffixes of the image that shows the head, first choice first
_MAGNITUDES = {
    "fieldmap": ("magnitude",),
    "phasediff": ("magnitude1", "magnitude2"),
    "phase1": ("magnitude1", "magnitude2"),
}
#: BIDS ``Units`` of a ``_fieldmap``
UNITS = ("Hz", "rad/s", "T")
#: no echo of a field map comes later (s); larger values are milliseconds in disguise
_LATEST_ECHO = 0.5


@dataclass(frozen=True)
class MeasuredField:
    """A field that was measured, or, with `fault`, why it cannot be used.

    Attributes
    ----------
    paths : tuple of Path
        A phase difference, the phases of two echoes, or a map of the field.
    magnitude : Path or None
        Image of the head on the same grid.
    echo_times : (float, float) or None
        Seconds, of the echoes between which the phase evolved; none for a map of the field.
    units : str or None
        One of :data:`UNITS`, for a map of the field.
    metadata : mapping
        Content of the JSON file.
    fault : str
        Names file, key and what is accepted; empty when the field can be used.
    """

    paths: tuple[Path, ...]
    magnitude: Path | None
    echo_times: tuple[float, float] | None = None
    units: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def sources(self) -> tuple[Path, ...]:
        """All files that it is made of."""
        return (*self.paths, self.magnitude)


def find_measured(layout: BIDSLayout, subject: str, session: str | None) -> list[MeasuredField]:
    """Measured field maps of a session, those that cannot be used included.

    Parameters
    ----------
    layout, subject, session
    """
    wanted = {"datatype": "fmap", "suffix": list(_MAGNITUDES), "extension": queries.EXTENSIONS}
    images = queries.by_session(queries.find_images(layout, wanted, subject))
    return [_describe(layout, image) for image in images.get(session, [])]


def choose_measured(
    path: Path, metadata: Mapping[str, Any], candidates: Sequence[MeasuredField]
) -> MeasuredField | None:
    """Field map that is meant for a run: linked to it, else linked to nothing; whole, if any is.

    Parameters
    ----------
    path : Path
        Of the diffusion run.
    metadata : mapping
        Content of the run's JSON file.
    candidates : sequence of MeasuredField
    """

    def rank(one: MeasuredField) -> tuple[bool, bool]:
        return bool(one.fault), not is_linked(one.metadata)

    meant = [one for one in candidates if is_meant(one.metadata, path, metadata)]
    return min(meant, key=rank, default=None)


def _describe(layout: BIDSLayout, image: BIDSFile) -> MeasuredField:
    path, metadata = Path(image.path), image.get_metadata()
    suffix = _stem(path).rpartition("_")[2]
    paths: tuple[Path, ...] = (path,)
    times, units = None, None
    if suffix == "fieldmap":
        units = metadata.get("Units")
        fault = "" if units in UNITS else _fault(path, "Units", units, ", ".join(UNITS))
    elif suffix == "phasediff":
        times, fault = _echo_times([(path, metadata, f"EchoTime{n}") for n in (1, 2)])
        if times and times[1] < times[0]:
            fault = (
                f"{_sidecar(path)}: EchoTime1 ({times[0]:g} s) is later than EchoTime2 "
                f"({times[1]:g} s); accepted: the earlier echo first, since the wrong sign would "
                "double the distortion"
            )
    else:
        paths = (path, path.with_name(path.name.replace("_phase1.", "_phase2.")))
        texts = (metadata, _metadata(layout, paths[1]))
        times, fault = _echo_times(
            [(each, text, "EchoTime") for each, text in zip(paths, texts, strict=True)]
        )
    magnitude, without = _magnitude(path, _MAGNITUDES[suffix])
    absent = [f"{each.name} is missing, or leads nowhere" for each in paths if not each.is_file()]
    return MeasuredField(
        paths=paths,
        magnitude=magnitude,
        echo_times=times,
        units=units,
        metadata=metadata,
        fault=next(filter(None, [*absent, fault, without]), ""),
    )


def _echo_times(
    places: Sequence[tuple[Path, Mapping[str, Any], str]],
) -> tuple[tuple[float, float] | None, str]:
    """Times (s) of two echoes, each in a file under a key, or what is wrong with them."""
    values = [text.get(key) for _, text, key in places]
    for (path, _, key), value in zip(places, values, strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < _LATEST_ECHO:
            return None, _fault(path, key, value, "seconds, as in 0.00492")
    if values[0] == values[1]:
        path, _, key = places[1]
        return None, _fault(path, key, values[1], "another time than that of the first echo")
    return (float(values[0]), float(values[1])), ""


def _magnitude(path: Path, suffixes: Sequence[str]) -> tuple[Path | None, str]:
    """Image of the head beside an image of the field, or what is missing."""
    stem = _stem(path).rpartition("_")[0]
    names = [f"{stem}_{suffix}" for suffix in suffixes]
    for name in names:
        for ending in queries.EXTENSIONS:
            if (found := path.with_name(name + ending)).is_file():
                return found, ""
    return None, f"{path.name} has no {' or '.join(names)} (.nii.gz or .nii) beside it"


def _metadata(layout: BIDSLayout, path: Path) -> Mapping[str, Any]:
    image = layout.get_file(path)
    return {} if image is None else image.get_metadata()


def _fault(path: Path, key: str, value: Any, accepted: str) -> str:
    state = "is missing" if value is None else f"is {value!r}"
    return f"{_sidecar(path)}: {key} {state}; accepted: {accepted}"


def _sidecar(path: Path) -> str:
    return f"{_stem(path)}.json"


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
