"""Which images a field map, or an image that serves as one, is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def is_meant(of: Mapping[str, Any], path: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether an image may serve to correct a run.

    Parameters
    ----------
    of : mapping
        Content of the image's JSON file.
    path : Path
        Of the run.
    metadata : mapping
        Content of the run's JSON file.

    Returns
    -------
    bool
        BIDS links the two by B0 fields, else by the path of the run. An image that is linked to
        nothing may serve every run that does not ask for another one.
    """
    identifiers, sources = _listed(of, "B0FieldIdentifier"), _listed(metadata, "B0FieldSource")
    if identifiers and sources:
        return bool(set(identifiers) & set(sources))
    targets = _listed(of, "IntendedFor")
    if not targets:
        return not sources
    # "bids::sub-01/dwi/...", or relative to the person's folder
    return any(path.as_posix().endswith("/" + target.rpartition(":")[2]) for target in targets)


def is_linked(of: Mapping[str, Any]) -> bool:
    """Whether an image says in its JSON file for which ones it is meant."""
    return any(_listed(of, key) for key in ("B0FieldIdentifier", "IntendedFor"))


def _listed(metadata: Mapping[str, Any], key: str) -> list[str]:
    """Texts under a key that holds one, several or none."""
    value = metadata.get(key)
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    return [value] if isinstance(value, str) else []
