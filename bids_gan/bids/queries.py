"""What the dataset holds: people, sessions, images (through pybids)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.errors import DataError, UsageError
from bids_gan.settings import Settings
from bids_gan.text import load_json

if TYPE_CHECKING:
    from bids.layout import BIDSFile, BIDSLayout

EXTENSIONS = [".nii.gz", ".nii"]
#: of a path that cannot be read
NO_FILE = "it is a link that leads nowhere, or no file (with DataLad: datalad get)"
_NOT_RAW = r"^/(derivatives|code|sourcedata|stimuli|models)(/|$)"
#: in names that are no UTF-8, which the index cannot hold
_NO_TEXT = re.compile("[\udc80-\udcff]")
#: what is looked for; ``--bids-filter-file`` adds to these or replaces them
QUERIES: dict[str, dict[str, Any]] = {
    "t1w": {"datatype": "anat", "suffix": "T1w", "extension": EXTENSIONS},
    "dwi": {"datatype": "dwi", "suffix": "dwi", "extension": EXTENSIONS},
}


def list_labels(folder: Path, prefix: str) -> list[str]:
    """Labels of the sub-folders named ``<prefix><label>``, sorted."""
    return sorted(
        entry.name.removeprefix(prefix) for entry in folder.glob(f"{prefix}*") if entry.is_dir()
    )


def select_participants(settings: Settings) -> list[str]:
    """People to process.

    Raises
    ------
    UsageError
        A label of ``--participant-label`` or ``--session-label`` is not in the dataset.
    DataError
        The dataset holds nobody.
    """
    existing = list_labels(settings.bids_dir, "sub-")
    if not existing:
        raise DataError(
            f"{settings.bids_dir} holds no 'sub-<label>' folder: is it the root of the dataset?"
        )
    chosen = list(dict.fromkeys(settings.participant_label)) or existing
    _check_labels("--participant-label", chosen, existing)
    sessions = {
        label
        for subject in chosen
        for label in list_labels(settings.bids_dir / f"sub-{subject}", "ses-")
    }
    _check_labels("--session-label", settings.session_label, sorted(sessions))
    return chosen


def open_layout(settings: Settings, left_out: Iterable[Path] = ()) -> BIDSLayout:
    """Index the dataset, or open the index in ``--bids-database-dir``.

    Parameters
    ----------
    settings
        Of the run.
    left_out
        Files that the index must not read (`find_unreadable`). An index without them is not kept.

    Raises
    ------
    DataError
        The folder is no BIDS dataset, or another of its JSON files cannot be read.
    """
    from bids.exceptions import BIDSValidationError
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    left_out = list(left_out)
    database = settings.bids_database_dir
    if left_out and _is_new(database):
        database = None
    # a kept index must know everybody; a passing one only those who are asked for
    wanted = settings.participant_label if database is None else ()
    ignore = [
        re.compile(_NOT_RAW),
        re.compile(r"/\."),
        _NO_TEXT,
    ]
    if settings.bids_dir in settings.output_dir.parents:
        inside = settings.output_dir.relative_to(settings.bids_dir).as_posix()
        ignore.append(re.compile(rf"^/{re.escape(inside)}(/|$)"))
    ignore += [
        re.compile(rf"^/{re.escape(path.relative_to(settings.bids_dir).as_posix())}(/|$)")
        for path in chain(_loops(settings.bids_dir), left_out)
    ]
    if wanted:
        labels = "|".join(re.escape(label) for label in wanted)
        ignore.append(re.compile(rf"^/sub-(?!({labels})(/|$))"))
    made_now = database is None or _is_new(database)
    try:
        layout = BIDSLayout(
            settings.bids_dir,
            validate=True,
            database_path=database,
            indexer=BIDSLayoutIndexer(validate=False, ignore=ignore),
        )
    except BIDSValidationError as err:
        fault = str(err).splitlines()[0]
        raise DataError(
            f"{settings.bids_dir} is not a BIDS dataset: {fault} "
            "A dataset_description.json with at least 'Name' and 'BIDSVersion' is needed."
        ) from err
    except (AttributeError, OSError, TypeError, ValueError, RecursionError) as err:
        files = chain(settings.bids_dir.glob("*.json"), _of_people(settings.bids_dir, wanted))
        named = (f"{relative(settings, path)} {fault}" for path, fault in _faults(files))
        fault = next(named, f"{settings.bids_dir}: {err}")
        raise DataError(f"the dataset cannot be indexed: {fault}. Mend or remove that.") from err
    if made_now:
        _find_by_entity(layout)
    return layout


def _find_by_entity(layout: BIDSLayout) -> None:
    """Let the database find the files of one person without going through everybody's."""
    from sqlalchemy import text

    session = layout.connection_manager.session
    session.execute(text("CREATE INDEX tag_of_entity ON tags (entity_name, _value)"))
    session.execute(text("ANALYZE"))
    session.commit()


def find_unreadable(settings: Settings) -> dict[Path, str]:
    """JSON files in people's folders that the index cannot take in, each with the fault.

    Everybody's files are looked at where an index is to be made and kept, else those of the people
    who are asked for. Files at the root hold for everybody and are not among them.
    """
    database = settings.bids_database_dir
    wanted = () if _is_new(database) else settings.participant_label
    return dict(_faults(_of_people(settings.bids_dir, wanted)))


def _is_new(database: Path | None) -> bool:
    """Whether an index is to be kept that does not exist yet."""
    from bids.layout.db import ConnectionManager

    return database is not None and not ConnectionManager.exists(database)


def _loops(root: Path) -> Iterator[Path]:
    """Links to a folder that they lie in: who follows them never ends."""
    for folder, names, _ in os.walk(root):
        for link in (Path(folder, name) for name in names):
            if link.is_symlink() and Path(folder).resolve().is_relative_to(link.resolve()):
                yield link


def _of_people(root: Path, wanted: Iterable[str]) -> Iterator[Path]:
    """JSON files of some people, or of everybody; hidden ones are not indexed."""
    for person in [f"sub-{label}" for label in wanted] or ["sub-*"]:
        for path in sorted(root.glob(f"{person}/**/*.json")):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def _faults(files: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """JSON files that are no JSON objects or trip the index up, each with the fault."""
    for path in files:
        try:
            content = load_json(path)
        except (OSError, ValueError) as err:
            yield path, f"is no JSON ({err})"
            continue
        if not isinstance(content, dict):
            kind = type(content).__name__
            yield path, f"must hold names with values ({{...}}), not a {kind}"
        elif not _are_texts(content.get("IntendedFor", [])):
            found = json.dumps(content["IntendedFor"])
            yield (
                path,
                "cannot be used: IntendedFor must be a text or a list of texts, or be left out; "
                f"it is {found if len(found) < 50 else found[:46] + ' ...'}",
            )


def _are_texts(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str) for item in values)


def load_filters(settings: Settings) -> dict[str, dict[str, Any]]:
    """Queries for ``t1w`` and ``dwi``, with those of ``--bids-filter-file`` on top.

    Values are those of pybids: a text, a list of texts, ``null`` for "without this entity",
    or ``"Query.ANY"``, ``"Query.NONE"``, ``"Query.OPTIONAL"``.

    Raises
    ------
    UsageError
        The file is not JSON, or names other images than ``t1w`` and ``dwi``.
    """
    path = settings.bids_filter_file
    if path is None:
        return QUERIES
    try:
        content = load_json(path)
    except (OSError, ValueError) as err:
        raise UsageError(f"--bids-filter-file {path} is not valid JSON: {err}.") from err
    unknown = sorted(set(content) - set(QUERIES)) if isinstance(content, dict) else [str(content)]
    if unknown or not all(isinstance(query, dict) for query in content.values()):
        raise UsageError(
            f"--bids-filter-file {path} must map 't1w' and 'dwi' to BIDS entities, as in "
            f'{{"t1w": {{"acquisition": "mprage"}}}}'
            + (f"; not accepted: {', '.join(unknown)}." if unknown else ".")
        )
    return {
        kind: {
            **query,
            **{entity: _query_value(v) for entity, v in content.get(kind, {}).items()},
        }
        for kind, query in QUERIES.items()
    }


def find_images(layout: BIDSLayout, query: dict[str, Any], subject: str) -> list[BIDSFile]:
    """Images of one person that a query matches, sorted by path.

    Raises
    ------
    UsageError
        The query names an entity that no file of the dataset has.
    """
    if _NO_TEXT.search(subject):
        return []
    try:
        found = layout.get(subject=subject, **query)
    except ValueError as err:
        raise UsageError(
            f"--bids-filter-file: {' '.join(str(err).split())} (query: {query})."
        ) from err
    return sorted(found, key=lambda image: image.path)


def by_session(images: list[BIDSFile]) -> dict[str | None, list[BIDSFile]]:
    """Images by the label of their session, ``None`` for those without."""
    grouped: dict[str | None, list[BIDSFile]] = {}
    for image in images:
        grouped.setdefault(image.get_entities().get("session"), []).append(image)
    return grouped


def nearest(layout: BIDSLayout, image: BIDSFile, extension: str) -> Path | None:
    """File with the same name and another extension, or the closest that applies (inheritance)."""
    own = Path(image.path).with_name(image.filename.split(".")[0] + extension)
    if own.is_file():
        return own
    from bids.layout import Query

    # without the subject pybids would look through everybody's files for each image
    subject = [image.get_entities()["subject"], Query.NONE]
    path = layout.get_nearest(image.path, extension=extension, suffix="dwi", subject=subject)
    return None if path is None else Path(path)


def relative(settings: Settings, path: str | Path) -> str:
    """Name of a file relative to the dataset, or all of it where it lies elsewhere."""
    path = Path(path)
    inside = settings.bids_dir in path.parents
    return path.relative_to(settings.bids_dir).as_posix() if inside else str(path)


def _query_value(value: Any) -> Any:
    from bids.layout import Query

    if isinstance(value, list):
        return [_query_value(item) for item in value]
    if value is None:
        return Query.NONE
    if isinstance(value, str) and value.startswith("Query."):
        try:
            return Query[value.removeprefix("Query.")]
        except KeyError:
            raise UsageError(f"--bids-filter-file: pybids knows no {value}.") from None
    return value


def _check_labels(option: str, wanted, existing: list[str]) -> None:
    unknown = [label for label in wanted if label not in existing]
    if unknown:
        shown = ", ".join(existing[:20]) + (", ..." if len(existing) > 20 else "")
        raise UsageError(
            f"{option}: {', '.join(unknown)} not in the dataset; it has {shown or 'none'}."
        )
