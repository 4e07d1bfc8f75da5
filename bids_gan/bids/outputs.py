"""Names, sidecars and atomic writing of everything that goes into OUTPUT_DIR.

``bids_gan/data/outputs.json`` is the one list of outputs. Its patterns know ``{person}``
(``sub-01``), ``{folder}`` (``sub-01[/ses-a]``), ``{session}`` (``sub-01[_ses-a]``), ``{run}`` (all
entities of a diffusion run) and ``{field}`` (those that a field map may carry).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from bids_gan import __version__
from bids_gan.bids.plan import Session, SessionPlan
from bids_gan.settings import Settings

#: BIDS entities of diffusion images in the order of the standard, with their short names
ENTITIES = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "part": "part",
    "chunk": "chunk",
}
#: a field map has no entity for these: they become part of its ``acq-``
_FOLDED = ("acquisition", "reconstruction", "direction", "part", "chunk")
#: name of a file that is being written, before its own
_PART = r"\.[0-9a-f]{32}_"
#: route of a diffusion run -> what begins the ``acq-`` of its field map
FIELD_FROM = {
    "measured": "measured",
    "reverse-pe": "reversePE",
    "synth": "synthFA",
    "none": "none",
}


@cache
def outputs() -> dict[str, dict[str, Any]]:
    """All outputs by key, as written in ``outputs.json``."""
    return json.loads(files("bids_gan").joinpath("data/outputs.json").read_text())


def output_path(
    key: str, entities: Mapping[str, str], route: str = "synth", **names: str
) -> PurePosixPath:
    """Path of an output relative to OUTPUT_DIR.

    Parameters
    ----------
    key
        Of ``outputs.json``.
    entities
        BIDS entities of the session or diffusion run (``SessionPlan.entities``,
        ``DiffusionRun.entities``); none for outputs of the whole dataset.
    route
        Of the run, for its field map: a key of :data:`FIELD_FROM`.
    names
        What else the pattern asks for: ``what`` and ``suffix`` of a figure.

    Raises
    ------
    ValueError
        An entity is unknown, or a label holds other characters than letters, digits and ``+``.
    """
    for name, label in {**entities, **names}.items():
        if not re.fullmatch(r"[0-9A-Za-z+]+", str(label)):
            raise ValueError(f"{name}: {label!r} is not a BIDS label (letters and digits)")
    parts = _parts(entities, route) if "subject" in entities else {}
    return PurePosixPath(outputs()[key]["pattern"].format(**parts, **names))


def expected_outputs(session: SessionPlan, settings: Settings) -> list[tuple[PurePosixPath, ...]]:
    """Files that a successful run leaves, each with what may stand in its place.

    Returns
    -------
    list of tuple of PurePosixPath
        Relative to OUTPUT_DIR; of each tuple one file must exist (a field map is either applied
        or rejected).
    """
    expected = []
    for key, spec in outputs().items():
        if spec["scope"] == "session" and spec.get("target") in (None, *settings.synthesised):
            expected.append((output_path(key, session.entities),))
        wanted = spec["scope"] == "run" and not spec.get("optional")
        if not wanted or spec.get("space") not in (None, *settings.output_spaces):
            continue
        keys = (key, spec["instead"]) if "instead" in spec else (key,)
        for run in session.dwi:
            if run.route != "none" or not spec.get("of_corrected"):
                paths = (output_path(each, run.entities, run.route) for each in keys)
                expected.append(tuple(sorted(paths)))
    return list(dict.fromkeys(expected))


def missing_outputs(session: SessionPlan, settings: Settings) -> list[PurePosixPath]:
    """Expected outputs that are not there."""
    return [
        paths[0]
        for paths in expected_outputs(session, settings)
        if not any((settings.output_dir / path).is_file() for path in paths)
    ]


def sidecar(
    key: str,
    settings: Settings,
    *,
    sources: Iterable[Path] = (),
    reference: Path | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Content of the JSON file beside an output.

    Parameters
    ----------
    key
        Of ``outputs.json``.
    settings
        Of the run.
    sources
        Files that the output was made from.
    reference
        The T1w, for outputs in its space.
    more
        Further keys, which win.
    """
    spec = outputs()[key]
    content: dict[str, Any] = {"Description": spec["description"]}
    for name, entry in (("Type", "type"), ("Units", "units"), ("SkullStripped", "skull_stripped")):
        if entry in spec:
            content[name] = spec[entry]
    if spec.get("reference") == "T1w":
        if reference is None:
            raise ValueError(f"{key} is in the space of the T1w: give it as reference")
        content["SpatialReference"] = bids_uri(reference, settings)
    if spec.get("synthetic"):
        content["Synthetic"] = True
    content["Sources"] = [bids_uri(source, settings) for source in sources]
    content["GeneratedBy"] = [{"Name": "bids-gan", "Version": __version__}]
    return {**content, **more}


def bids_uri(path: Path, settings: Settings) -> str:
    """BIDS URI of a file of OUTPUT_DIR, the dataset, or derivatives that are reused."""
    places = [("", settings.output_dir), *settings.derivatives, ("raw", settings.bids_dir)]
    for name, root in places:
        if root in path.parents:
            return f"bids:{name}:{path.relative_to(root).as_posix()}"
    raise ValueError(f"{path} lies in none of {', '.join(str(root) for _, root in places)}")


def write_output(
    key: str,
    entities: Mapping[str, str],
    content: Any,
    settings: Settings,
    *,
    metadata: Mapping[str, Any] | None = None,
    **names: str,
) -> Path:
    """Write one output whole or not at all, its JSON file first.

    Parameters
    ----------
    key, entities, names
        As in `output_path`.
    content
        nibabel image, dict (JSON), text, or the path of a file to copy.
    settings
        Of the run.
    metadata
        Content of the JSON file beside it (`sidecar`); required unless the output has none.

    Returns
    -------
    Path
        Of the file.
    """
    path = settings.output_dir / output_path(key, entities, **names)
    spec = outputs()[key]
    if spec.get("sidecar", True):
        if metadata is None:
            raise ValueError(f"{key} needs its JSON file: give metadata")
        write_json(_sidecar_path(path), metadata)
    if isinstance(content, Path):
        write_whole(path, lambda part: shutil.copyfile(content, part))
    elif isinstance(content, str):
        write_text(path, content)
    elif isinstance(content, Mapping):
        write_json(path, content)
    else:
        write_whole(path, content.to_filename)
    if "instead" in spec:  # an earlier run may have judged otherwise
        remove_output(spec["instead"], entities, settings, **names)
    return path


def remove_output(key: str, entities: Mapping[str, str], settings: Settings, **names: str) -> None:
    """Remove what an earlier run left, and its JSON file; arguments as of `write_output`."""
    path = settings.output_dir / output_path(key, entities, **names)
    path.unlink(missing_ok=True)
    _sidecar_path(path).unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a text file atomically."""
    # names of files may be no text
    write_whole(
        path,
        lambda part: Path(part).write_text(content, encoding="utf-8", errors="backslashreplace"),
    )


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name.split(".")[0] + ".json")


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a hidden file in the same folder, then give it its name in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}_{path.name}")
    try:
        write(part)
        os.replace(part, path)
    except OSError as err:
        if err.errno and not err.filename:  # a full disk does not say where
            err.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def remove_parts(output_dir: Path, sessions: Sequence[Session]) -> None:
    """Remove what a killed run was writing for people on whom no other run is at work."""
    if not sessions:
        return
    owners = "|".join(
        re.escape(
            "_".join(f"{ENTITIES[name]}-{label}" for name, label in session.entities.items())
        )
        for session in sessions
    )
    part = re.compile(rf"{_PART}({owners})[_.].*")
    folders = dict.fromkeys(output_dir / f"sub-{session.subject}" for session in sessions)
    hidden = chain(output_dir.glob(".*"), *(folder.rglob(".*") for folder in folders))
    for path in [path for path in hidden if part.fullmatch(path.name)]:
        path.unlink(missing_ok=True)


def remove_shared_parts(output_dir: Path) -> None:
    """Remove what killed runs were writing for the dataset; no other run may be at work."""
    hidden = chain.from_iterable(
        output_dir.glob(place) for place in (".*", "logs/.*", "logs/*/.*")
    )
    for path in [path for path in hidden if re.match(_PART, path.name)]:
        path.unlink(missing_ok=True)


def _parts(entities: Mapping[str, str], route: str) -> dict[str, str]:
    """What the patterns' placeholders stand for."""
    unknown = sorted(set(entities) - set(ENTITIES))
    if unknown:
        raise ValueError(f"entities {unknown} are none of {', '.join(ENTITIES)}")
    named = {
        entity: f"{short}-{entities[entity]}"
        for entity, short in ENTITIES.items()
        if entity in entities
    }
    session = [named[entity] for entity in ("subject", "session") if entity in named]
    folded = "".join(str(entities[entity]) for entity in _FOLDED if entity in entities)
    field = [
        *session,
        f"acq-{FIELD_FROM[route]}{folded}",
        *([named["run"]] if "run" in named else []),
    ]
    return {
        "person": named["subject"],
        "folder": "/".join(session),
        "session": "_".join(session),
        "run": "_".join(named.values()),
        "field": "_".join(field),
    }
