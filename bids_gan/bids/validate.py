"""The BIDS validator (``bids-validator-deno``), offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bids_gan.errors import UsageError

#: places shown for each kind of error
_SHOWN = 5


@dataclass(frozen=True)
class Validation:
    """What the validator found: one text for each kind of error, and the number of warnings."""

    errors: tuple[str, ...]
    n_warnings: int


def validate(dataset: Path, *, derivative: bool = False) -> Validation:
    """Check a dataset with the BIDS validator.

    Parameters
    ----------
    dataset
        Its root folder.
    derivative
        Require a derivatives dataset.

    Raises
    ------
    UsageError
        The validator is not installed or does not run.
    """
    command = [_validator(), str(dataset), "--format", "json"]
    if derivative:
        command += ["--datasetTypes", "derivative"]
    with tempfile.TemporaryDirectory() as cache:
        # the home folder may be read-only; the compiled validator is not worth keeping
        env = {**os.environ, "DENO_DIR": cache, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    try:
        found = json.loads(done.stdout)["issues"]
    except (ValueError, KeyError, TypeError) as err:
        raise UsageError(
            f"The BIDS validator failed on {dataset} ({done.stderr.strip()[-500:]}); "
            "--skip-bids-validation goes on without it."
        ) from err
    issues = found["issues"]
    errors = [issue for issue in issues if issue.get("severity") == "error"]
    return Validation(
        errors=tuple(_texts(errors, found.get("codeMessages", {}))),
        n_warnings=sum(issue.get("severity") == "warning" for issue in issues),
    )


def _validator() -> str:
    # beside this Python first: an environment need not be activated to be used
    beside = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("bids-validator-deno")
    if found is None:
        raise UsageError(
            "bids-validator-deno is not installed (pip install bids-validator-deno); "
            "--skip-bids-validation goes on without it."
        )
    return found


def _texts(errors: list[dict], messages: dict[str, str]) -> list[str]:
    """One text for each kind of error: code, what it means, where."""
    kinds = Counter((issue["code"], issue.get("subCode", "")) for issue in errors)
    texts = []
    for (code, sub_code), count in kinds.items():
        same = [
            issue
            for issue in errors
            if (issue["code"], issue.get("subCode", "")) == (code, sub_code)
        ]
        explained = same[0].get("issueMessage") or messages.get(code, "")
        places = [issue.get("location", "") for issue in same[:_SHOWN]]
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        title = f"{code} {sub_code}".strip()
        meaning = " ".join(explained.split())
        texts.append(f"{title}: {', '.join(places)}{more}. {meaning}".strip())
    return texts
