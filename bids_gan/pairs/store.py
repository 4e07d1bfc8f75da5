"""A training pair as files: named, sidecarred, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.errors import DataError

#: target -> folder and suffix of its files
TARGETS = {
    "FA": ("dwi", "FA"),
    "T2w": ("anat", "T2w"),
    "FDG": ("pet", "pet"),
    "CT": ("ct", "ct"),
}


@dataclass(frozen=True)
class Pair:
    """One person's pair on a 1 mm grid around the brain, axes closest to RAS+.

    Attributes
    ----------
    t1w : (I, J, K) float32 array
        White matter near 1, zero outside the brain.
    mask : (I, J, K) bool array
        Brain.
    target : (I, J, K) float32 array
        In units of the generator's output.
    supervised : (I, J, K) bool array
        Where the target was measured: all of the mask, or the planes at slice centres.
    affine : (4, 4) array
        Voxel to world of the T1w (mm).
    to_mni : (4, 4) array
        World to MNI world (mm).
    thickness : int
        Voxels along the last axis that one slice of the target averages.
    appearance : dict
        See :func:`bids_gan.synthesis.generate.appearance`.
    """

    t1w: np.ndarray
    mask: np.ndarray
    target: np.ndarray
    supervised: np.ndarray
    affine: np.ndarray
    to_mni: np.ndarray
    thickness: int
    appearance: dict[str, float]


def write_pair(folder: Path, label: str, target: str, pair: Pair, card: Mapping) -> None:
    """Write a pair; the JSON file comes last, its presence says that the pair is whole.

    Parameters
    ----------
    folder : Path
        Of the training data.
    label : str
        Of the participant.
    target : str
        One of :data:`TARGETS`.
    pair : Pair
    card : mapping
        Where the target comes from; ``Synthetic`` says whether it is a pseudo-target.
    """
    person = folder / f"sub-{label}"
    kind, suffix = TARGETS[target]
    volumes = {
        ("anat", "desc-normalised_T1w"): pair.t1w,
        ("anat", "desc-brain_mask"): pair.mask.astype(np.uint8),
        (kind, f"desc-target_{suffix}"): pair.target,
        (kind, "desc-supervised_mask"): pair.supervised.astype(np.uint8),
    }
    for (kind, name), data in volumes.items():
        (person / kind).mkdir(parents=True, exist_ok=True)
        path = person / kind / f"sub-{label}_space-generator_{name}.nii.gz"
        nib.save(nib.Nifti1Image(data, pair.affine), path)
    text = {
        **card,
        "Target": target,
        "SliceThickness": pair.thickness,
        "T1wToMNI": pair.to_mni.tolist(),
        "Appearance": pair.appearance,
    }
    temporary = person / "pair.part"
    temporary.write_text(json.dumps(text, indent=2))
    os.replace(temporary, person / "pair.json")


def is_whole(folder: Path, label: str) -> bool:
    """Whether the pair was written to its end."""
    return (folder / f"sub-{label}" / "pair.json").exists()


def read_summary(folder: Path, label: str) -> dict:
    """Read the JSON file of a whole pair.

    Raises
    ------
    DataError
        When there is none.
    """
    try:
        return json.loads((folder / f"sub-{label}" / "pair.json").read_text())
    except FileNotFoundError as error:
        raise DataError(f"{error}; make the pairs first with `bids-gan-model pairs`") from None


@dataclass(frozen=True)
class StoredPair:
    """A whole pair on disk.

    Attributes
    ----------
    paths : tuple of Path
        T1w, target, brain mask and where the target was measured, on one grid.
    voxel_to_mni : (4, 4) array
        Voxel to MNI world (mm).
    thickness : int
        See :class:`Pair`.
    """

    paths: tuple[Path, Path, Path, Path]
    voxel_to_mni: np.ndarray
    thickness: int

    def read(self) -> np.ndarray:
        """Volumes of `paths`, (4, I, J, K) float32."""
        return np.stack([np.asarray(nib.load(path).dataobj, np.float32) for path in self.paths])


def find_pair(folder: Path, label: str) -> StoredPair:
    """Find what :func:`write_pair` wrote; only headers are read.

    Raises
    ------
    DataError
        When a file is missing or the grids differ.
    """
    person = folder / f"sub-{label}"
    text = read_summary(folder, label)
    kind, suffix = TARGETS[text["Target"]]
    names = [
        ("anat", "desc-normalised_T1w"),
        (kind, f"desc-target_{suffix}"),
        ("anat", "desc-brain_mask"),
        (kind, "desc-supervised_mask"),
    ]
    paths = tuple(person / k / f"sub-{label}_space-generator_{n}.nii.gz" for k, n in names)
    try:
        images = [nib.load(path) for path in paths]
    except FileNotFoundError as error:
        raise DataError(f"{error}; make the pairs first with `bids-gan-model pairs`") from None
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(f"{path}: shape {image.shape}, but {paths[0].name} {images[0].shape}")
    to_mni = np.array(text["T1wToMNI"])
    return StoredPair(paths, to_mni @ images[0].affine, int(text["SliceThickness"]))
