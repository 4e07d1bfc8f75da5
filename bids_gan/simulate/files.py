"""Writing the files of a simulated dataset: the same content gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np


def write_text(path: Path, text: str) -> None:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_json(stem: Path, content: dict) -> None:
    """Write ``stem.json``."""
    write_text(stem.with_suffix(".json"), json.dumps(content, indent=2) + "\n")


def write_image(stem: Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write ``stem.nii.gz`` with `affine` as scanner coordinates, mm."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    img = nib.Nifti1Image(data, affine)
    img.header.set_xyzt_units("mm", "sec")
    img.set_sform(affine, 1)
    img.set_qform(affine, 1)
    # nibabel writes no time stamp into the gzip header, so equal images are equal files
    nib.save(img, stem.with_suffix(".nii.gz"))
