"""Small BIDS datasets for tests, given as a dict of paths and contents."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

#: what a usual single-blip run says of itself
AP = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
N_WEIGHTED = 6


def write_dataset(root: Path, content: dict) -> Path:
    """Write files: ``None`` is empty, a dict becomes JSON, a NIfTI image an image, text text."""
    description = {"Name": "Test", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    for name, item in {"dataset_description.json": description, **content}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(item, nib.Nifti1Image):
            item.to_filename(path)
        elif isinstance(item, dict):
            path.write_text(json.dumps(item))
        else:
            path.write_text(item or "")
    return root


def diffusion(stem: str, metadata: dict | None = AP, image=None) -> dict:
    """Files of one diffusion run; ``stem`` as in ``sub-01/dwi/sub-01_dir-AP``."""
    n = N_WEIGHTED + 1
    files = {
        f"{stem}_dwi.nii.gz": image,
        f"{stem}_dwi.bval": " ".join(["0"] + ["1000"] * N_WEIGHTED),
        f"{stem}_dwi.bvec": "\n".join([" ".join(["0.577"] * n)] * 3),
    }
    return files if metadata is None else {**files, f"{stem}_dwi.json": metadata}


def image(shape=(4, 5, 6), zooms=(1.0, 1.0, 1.0), flip=False) -> nib.Nifti1Image:
    """A tiny image; ``flip`` runs the first axis the other way through the same voxels."""
    affine = np.diag([*zooms, 1.0])
    if flip:
        affine[0, 0] *= -1
        affine[0, 3] = (shape[0] - 1) * zooms[0]
    return nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
