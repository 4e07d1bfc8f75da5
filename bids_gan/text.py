"""JSON and TOML files that somebody else wrote: whatever is wrong with one is a `ValueError`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_json(path: Path) -> Any:
    """Content of a JSON file in UTF-8.

    Raises
    ------
    OSError, ValueError
    """
    return _parsed(json.loads, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Object in a JSON file; None where there is no file, or none can be read from it."""
    try:
        content = load_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def load_toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file.

    Raises
    ------
    OSError, ValueError
    """
    return _parsed(tomllib.loads, path)


def _parsed(parse: Callable[[str], Any], path: Path) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
