"""What makes OUTPUT_DIR a BIDS derivatives dataset: description, ``.bidsignore``, README."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from bids_gan import __version__
from bids_gan.bids.outputs import write_json, write_text
from bids_gan.errors import UsageError
from bids_gan.settings import Settings
from bids_gan.text import read_json

BIDS_VERSION = "1.11.1"
_README = """\
# bids-gan derivatives

Made by bids-gan {version} from the dataset "{name}".

- Files with `desc-synth` or `desc-synthStd` are **synthetic**: computed from other images of the
  person, which their JSON files name as `Sources`, not measured. These say `"Synthetic": true`.
- `dwi/*_desc-preproc_*`: measured diffusion images and their maps after correction.
- `fmap/*_desc-preproc_fieldmap.nii.gz`: the field map in Hz that was applied; `desc-rejected`: one
  that was estimated but not applied, since it did not improve the agreement with the T1w;
  `desc-check`: one from what was acquired beside, for comparison; `desc-std`: how far off the
  field may be, in Hz.
- `sub-*.html`: one report a person; `logs/`: settings, methods text and crash files of each run.

`.bidsignore` names the files for which BIDS has no official name yet, and fields beside the one
that was applied.
"""


def write_description(
    settings: Settings,
    acknowledge: str = "See logs/CITATION.md for the methods text and its references.",
) -> None:
    """Write ``dataset_description.json``, ``.bidsignore`` and ``README.md`` into OUTPUT_DIR.

    Parameters
    ----------
    settings
        Of the run.
    acknowledge
        How to, for users of the derivatives.

    Raises
    ------
    UsageError
        OUTPUT_DIR holds another dataset.
    """
    check_output_dir(settings.output_dir)
    raw = read_json(settings.bids_dir / "dataset_description.json") or {}
    name = raw.get("Name", settings.bids_dir.name)
    write_json(
        settings.output_dir / "dataset_description.json",
        _description(settings, raw, name, acknowledge),
    )
    ignore = files("bids_gan").joinpath("data/bidsignore").read_text(encoding="utf-8")
    write_text(settings.output_dir / ".bidsignore", ignore)
    write_text(settings.output_dir / "README.md", _README.format(version=__version__, name=name))


def check_output_dir(output_dir: Path) -> None:
    """Refuse a folder that holds a dataset which bids-gan did not write.

    Raises
    ------
    UsageError
        With the name of the dataset.
    """
    path = output_dir / "dataset_description.json"
    if not path.exists():
        return
    makers = (read_json(path) or {}).get("GeneratedBy")
    makers = makers if isinstance(makers, list) else []
    if not any(isinstance(maker, dict) and maker.get("Name") == "bids-gan" for maker in makers):
        raise UsageError(
            f"OUTPUT_DIR {output_dir} holds another dataset (its dataset_description.json was not "
            "made by bids-gan); give a folder of its own."
        )


def _description(
    settings: Settings, raw: dict[str, Any], name: str, acknowledge: str
) -> dict[str, Any]:
    source: dict[str, Any] = {"Version": raw["DatasetVersion"]} if "DatasetVersion" in raw else {}
    if "DatasetDOI" in raw:
        source["DOI"] = raw["DatasetDOI"]
    links = {"raw": settings.bids_dir, **dict(settings.derivatives)}
    description = {
        "Name": f"bids-gan derivatives of {name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "bids-gan", "Version": __version__}],
        "SourceDatasets": [source or {"URL": _link(settings.bids_dir, settings.output_dir)}],
        "DatasetLinks": {name: _link(path, settings.output_dir) for name, path in links.items()},
        "HowToAcknowledge": acknowledge,
    }
    # derivatives of people's images stay under the terms of the images
    return {**description, **{key: raw[key] for key in ("License", "Authors") if key in raw}}


def _link(path: Path, start: Path) -> str:
    """Relative link, so that both folders can be moved together."""
    return Path(os.path.relpath(path, start)).as_posix()
