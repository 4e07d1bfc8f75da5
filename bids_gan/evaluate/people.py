"""Who is evaluated: a small TOML file, or the paths of one person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_gan.errors import DataError, UsageError
from bids_gan.text import load_toml

#: kinds of values in the file; in a list, of each of several
_STUDY = {
    "target": str,
    "models": [str],
    "template": str,
    "register": bool,
    "border_mm": (int, float),
    "person": [dict],
    "training": [dict],
}


@dataclass(frozen=True)
class Subject:
    """The images of one person.

    Attributes
    ----------
    name : str
    t1w, truth : Path
        The truth may have any grid.
    mask : Path, optional
        Where to score, in the space of the truth; the brain when omitted.
    regions : Path, optional
        Whole-number labels in the space of the truth; blocks of MNI space when omitted.
    """

    name: str
    t1w: Path
    truth: Path
    mask: Path | None = None
    regions: Path | None = None


@dataclass(frozen=True)
class Study:
    """What is compared, and on whom.

    Attributes
    ----------
    target : str
        Contrast: FA, T2w, FDG or CT.
    models : tuple of str
        Names or paths of generators.
    template : Path, optional
        Population mean of the contrast in MNI space.
    register : bool
        Whether the truth has to be registered to the T1w (rigidly); else they share their world.
    people : tuple of Subject
    training : tuple of Subject
        Other people, from whom regression and histogram are taken.
    border_mm : float
        Width of the mask's border that is not scored.
    """

    target: str
    models: tuple[str, ...]
    template: Path | None
    register: bool
    people: tuple[Subject, ...]
    training: tuple[Subject, ...] = ()
    border_mm: float = 0.0


def read_study(path: Path) -> Study:
    """Read a study from TOML; paths in it are relative to the file.

    Raises
    ------
    UsageError
        When the file is not such a file.
    DataError
        When an image that it names does not exist.
    """
    try:
        text = load_toml(path)
    except FileNotFoundError:
        raise UsageError(f"--people {path}: no such file") from None
    except ValueError as error:
        raise UsageError(f"--people {path}: not valid TOML ({error})") from None
    if set(text) - set(_STUDY) or not text.get("person") or "target" not in text:
        raise UsageError(
            f"--people {path}: needs target and one [[person]] or more; known are "
            f"{', '.join(sorted(_STUDY))}, found {', '.join(sorted(text)) or 'nothing'}"
        )
    for key, value in text.items():
        if not _is_of(_STUDY[key], value):
            raise UsageError(f"--people {path}: {key} cannot be {value!r}")
    folder = path.parent
    study = Study(
        target=text["target"],
        models=tuple(text.get("models", ())),
        template=folder / text["template"] if "template" in text else None,
        register=text.get("register", False),
        people=tuple(_subject(entry, path) for entry in text["person"]),
        training=tuple(_subject(entry, path) for entry in text.get("training", ())),
        border_mm=_millimetres(text, path),
    )
    check_study(study)
    return study


def _is_of(kind: type | tuple[type, ...] | list[type], value: Any) -> bool:
    """Whether a value of TOML is of a kind; of a list, all of its members."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(isinstance(item, kind[0]) for item in value)
    return isinstance(value, kind)


def _millimetres(text: dict, path: Path) -> float:
    width = text.get("border_mm", 0)
    if not 0 <= width < 100:
        raise UsageError(f"--people {path}: border_mm = {width!r}, millimetres are needed")
    return float(width)


def _subject(entry: dict, path: Path) -> Subject:
    known = {"name", "t1w", "truth", "mask", "regions"}
    if not {"name", "t1w", "truth"} <= set(entry) <= known:
        raise UsageError(
            f"--people {path}: a person has name, t1w, truth and may have mask and regions; "
            f"found {', '.join(sorted(entry)) or 'nothing'}"
        )
    wrong = [key for key, value in entry.items() if not isinstance(value, str)]
    if wrong:
        raise UsageError(f"--people {path}: {', '.join(wrong)} of a person must be texts")
    return Subject(
        name=entry["name"], **{k: path.parent / v for k, v in entry.items() if k != "name"}
    )


def check_study(study: Study) -> None:
    """Refuse a study of which an image is missing, before anything is computed.

    Raises
    ------
    UsageError, DataError
    """
    everybody = (*study.people, *study.training)
    names = [subject.name for subject in everybody]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"people {', '.join(sorted(twice))}: named more than once")
    for subject in everybody:
        for role in ("t1w", "truth", "mask", "regions"):
            path = getattr(subject, role)
            if path is not None and not path.is_file():
                raise DataError(f"{path}: no such file; it is the {role} of {subject.name}")
    if study.template is not None and not study.template.is_file():
        raise DataError(f"{study.template}: no such file; it is the template")
