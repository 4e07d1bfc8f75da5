"""Aligned pairs in memory, and the patches that training sees of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bids_gan.gan.position import grid_coordinates, position_channels
from bids_gan.gan.training.augment import (
    inexact,
    patch_coordinates,
    random_appearance,
    random_matrix,
    sample,
)


@dataclass(frozen=True)
class Person:
    """One training pair on the generator's grid (1 mm, axes closest to RAS+).

    Attributes
    ----------
    volumes : (4, D, H, W) half tensor
        Normalised T1w (zero outside the brain), target, brain mask, where the target was measured.
    voxel_to_mni : (4, 4) array
    thickness : int
        Voxels along the last axis that one slice of the target averages.
    """

    volumes: Tensor
    voxel_to_mni: np.ndarray
    thickness: int = 1

    def whole(self, position: bool = True) -> dict[str, Tensor]:
        """Batch of one, unchanged, for validation; with `position` as input or without."""
        t1w, target, mask, supervised = self.volumes.float().unsqueeze(1).unsqueeze(1)
        if position:
            places = grid_coordinates(tuple(self.volumes.shape[1:]))
            channels = position_channels(places, self.voxel_to_mni)
            t1w = torch.cat([t1w, channels[None] * mask], dim=1)
        return {
            "input": t1w,
            "target": target,
            "mask": mask,
            "supervised": supervised,
            "thickness": torch.tensor([self.thickness]),
        }


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
    position : bool
        Whether :func:`~bids_gan.gan.position.position_channels` are inputs beside the T1w.
    """

    def __init__(
        self, people: list[Person], patch: int, batch: int, seed: int = 0, position: bool = True
    ):
        self.people = people
        self.position = position
        self.inside = [torch.nonzero(p.volumes[2, ::4, ::4, ::4] > 0).numpy() * 4 for p in people]
        self.patch = patch
        self.size = batch
        self.seed = seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`, see :meth:`bids_gan.gan.methods.paired.Paired.losses`."""
        rng = np.random.default_rng([self.seed, step])
        patches = [self._patch(rng) for _ in range(self.size)]
        return {key: torch.stack([p[key] for p in patches]) for key in patches[0]}

    def _patch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        index = int(rng.integers(len(self.people)))
        person = self.people[index]
        centre = self.inside[index][rng.integers(len(self.inside[index]))] + rng.uniform(-2, 2, 3)
        if person.thickness == 1:
            matrix = random_matrix(rng)
        else:  # the slices must stay along the last axis, and whole
            matrix = np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0])
            centre = np.round(centre) + (self.patch - 1) % 2 / 2
        coordinates = patch_coordinates(centre, matrix, self.patch)
        t1w, target, mask, supervised = sample(person.volumes, coordinates).split(1)
        mask, supervised = (mask > 0.5).float(), (supervised > 0.5).float()
        place = inexact(coordinates, rng)
        channels = random_appearance(t1w, rng) * float(np.exp(rng.uniform(-0.15, 0.15)))
        if self.position:
            channels = torch.cat([channels, position_channels(place, person.voxel_to_mni)])
        return {
            "input": channels * mask,
            "target": target * mask,
            "mask": mask,
            "supervised": supervised * mask,
            "thickness": torch.tensor(person.thickness),
        }
