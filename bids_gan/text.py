"""JSON and TOML files that somebody else wrote: whatever is wrong with one is a `ValueError`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DEEP = "nested too deeply"


def load_json(path: Path) -> Any:
    """Content of a JSON file in UTF-8.

    Raises
    ------
    OSError, ValueError
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(_DEEP) from None


def load_toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file.

    Raises
    ------
    OSError, ValueError
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(_DEEP) from None
