"""Aligned pairs in memory, and the patches that training sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from bids_gan.errors import DataError
from bids_gan.gan.training.augment import (
    patch_coordinates,
    random_appearance,
    random_matrix,
    sample,
)


def position_channels(coordinates: Tensor, voxel_to_mni: np.ndarray) -> Tensor:
    """Where in the template each voxel lies: |x|, y, z in units of 100 mm, channels first.

    Parameters
    ----------
    coordinates : (D, H, W, 3) tensor
        Voxel coordinates.
    voxel_to_mni : (4, 4) array

    Notes
    -----
    A patch does not show where it was cut; the affine to the template tells, roughly. Left and
    right share their values, so mirroring the head is a fair augmentation.
    """
    matrix = torch.as_tensor(voxel_to_mni, dtype=torch.float32)
    world = coordinates @ matrix[:3, :3].T + matrix[:3, 3]
    world = torch.cat([world[..., :1].abs(), world[..., 1:]], dim=-1) / 100
    return world.movedim(-1, 0)


def grid_coordinates(shape: tuple[int, int, int]) -> Tensor:
    """Voxel coordinates (D, H, W, 3) of a whole volume."""
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


@dataclass(frozen=True)
class Person:
    """One training pair on the generator's grid (RAS+, 1 mm).

    Attributes
    ----------
    volumes : (3, D, H, W) half tensor
        Normalised T1w (zero outside the brain), target, brain mask.
    voxel_to_mni : (4, 4) array
    """

    volumes: Tensor
    voxel_to_mni: np.ndarray

    def whole(self) -> dict[str, Tensor]:
        """Batch of one, unchanged, for validation."""
        t1w, target, mask = self.volumes.float()
        shape = tuple(self.volumes.shape[1:])
        position = position_channels(grid_coordinates(shape), self.voxel_to_mni)
        return {
            "input": torch.cat([t1w[None], position * mask])[None],
            "target": target[None, None],
            "mask": mask[None, None],
        }


def load_person(folder: Path, label: str) -> Person:
    """Read a person's pair as ``bids-gan-model pairs`` wrote it.

    Raises
    ------
    DataError
        When a file is missing or the grids differ.
    """
    stem = folder / f"sub-{label}"
    paths = [
        stem / "anat" / f"sub-{label}_space-generator_desc-normalised_T1w.nii.gz",
        stem / "dwi" / f"sub-{label}_space-generator_desc-pseudo_FA.nii.gz",
        stem / "anat" / f"sub-{label}_space-generator_desc-brain_mask.nii.gz",
    ]
    try:
        images = [nib.load(path) for path in paths]
    except FileNotFoundError as error:
        raise DataError(f"{error}; make the pairs first with `bids-gan-model pairs`") from None
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(f"{path}: shape {image.shape}, but {paths[0].name} {images[0].shape}")
    volumes = torch.stack(
        [torch.as_tensor(np.asarray(i.dataobj, np.float32)).half() for i in images]
    )
    to_mni = np.loadtxt(stem / "anat" / f"sub-{label}_from-T1w_to-MNI_mode-points_xfm.txt")
    return Person(volumes, to_mni @ images[0].affine)


class PairPatches:
    """Random, augmented patches of aligned pairs.

    Parameters
    ----------
    people : list of Person
    patch : int
        Edge of the cube in voxels.
    batch : int
        Patches a step.
    seed : int
    """

    def __init__(self, people: list[Person], patch: int, batch: int, seed: int = 0):
        self.people = people
        self.inside = [torch.nonzero(p.volumes[2, ::4, ::4, ::4] > 0).numpy() * 4 for p in people]
        self.patch = patch
        self.size = batch
        self.seed = seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`: ``input`` (N, 4, p, p, p), ``target`` and ``mask`` (N, 1, p, p, p)."""
        rng = np.random.default_rng([self.seed, step])
        patches = [self._patch(rng) for _ in range(self.size)]
        return {key: torch.stack([p[key] for p in patches]) for key in patches[0]}

    def _patch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        index = int(rng.integers(len(self.people)))
        person = self.people[index]
        centre = self.inside[index][rng.integers(len(self.inside[index]))] + rng.uniform(-2, 2, 3)
        coordinates = patch_coordinates(centre, random_matrix(rng), self.patch)
        t1w, target, mask = sample(person.volumes, coordinates).split(1)
        mask = (mask > 0.5).float()
        # the affine to the template is never exact
        place = coordinates + torch.as_tensor(rng.normal(0, 2.0, 3), dtype=torch.float32)
        position = position_channels(place, person.voxel_to_mni)
        t1w = random_appearance(t1w, rng) * float(np.exp(rng.uniform(-0.15, 0.15)))
        return {
            "input": torch.cat([t1w, position]) * mask,
            "target": target * mask,
            "mask": mask,
        }
