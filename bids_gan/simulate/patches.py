"""Training patches rendered from label maps, a new head and a new contrast each time.

A network that learns from them depends on no scanner's contrast (domain randomisation, Billot et
al. 2023, https://arxiv.org/abs/2107.09559).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from bids_gan.gan.position import position_channels
from bids_gan.gan.training.augment import (
    inexact,
    nearest,
    patch_coordinates,
    random_appearance,
    random_matrix,
    smooth_noise,
)
from bids_gan.simulate.head import fit_mni
from bids_gan.simulate.labels import FIRST_OUTSIDE, OUTER_FLUID, class_table, random_contrast
from bids_gan.simulate.physics import label_contrast


class LabelPatches:
    """Training batches of simulated images with their classes.

    Parameters
    ----------
    maps : list of (I, J, K) int16 arrays
        RAS+, 1 mm; see :func:`load_label_map`.
    patch : int
        Edge of the cube in voxels.
    batch : int
        Patches a step.
    spacing : float
        Voxel size of the patches in mm.
    seed : int
    """

    def __init__(
        self, maps: list[np.ndarray], patch: int, batch: int, spacing: float = 1.0, seed: int = 0
    ):
        self.maps = [torch.as_tensor(m) for m in maps]
        self.heads = [np.argwhere(m[::4, ::4, ::4] > 0) * 4 for m in maps]
        self.brains = [
            np.argwhere((m[::4, ::4, ::4] > 0) & (m[::4, ::4, ::4] < FIRST_OUTSIDE)) * 4
            for m in maps
        ]
        self.patch = patch
        self.size = batch
        self.spacing = spacing
        self.seed = seed
        self.brain_share = 0.85
        self.classes = torch.as_tensor(class_table())

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`: ``input`` (N, 1, p, p, p) float32, ``labels`` (N, p, p, p) int64."""
        rng = np.random.default_rng([self.seed, step])
        patches = [self._patch(rng) for _ in range(self.size)]
        return {key: torch.stack([p[key] for p in patches]) for key in patches[0]}

    def _patch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        person = int(rng.integers(len(self.maps)))
        return self.render(self._labels(person, self._places(person, rng)), rng)

    def _places(self, person: int, rng: np.random.Generator) -> Tensor:
        """Voxel coordinates (p, p, p, 3) of a patch, turned, stretched and bent."""
        places = self.brains[person] if rng.random() < self.brain_share else self.heads[person]
        centre = places[rng.integers(len(places))] + rng.uniform(-8, 8, 3)
        matrix = self.spacing * random_matrix(rng, 20, 0.2)
        coordinates = patch_coordinates(centre, matrix, self.patch)
        warp = rng.uniform(0, 4) * smooth_noise(rng, self.patch, 6, channels=3)
        return coordinates + warp.movedim(0, -1)

    def _labels(self, person: int, places: Tensor) -> Tensor:
        return nearest(self.maps[person], places).long()

    def render(self, labels: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """Give label values (p, p, p) a random appearance."""
        classes = self.classes[labels]
        if rng.random() < 0.35:
            kept = classes > 0
            if rng.random() < 0.5:
                kept &= labels != OUTER_FLUID
            labels, classes = torch.where(kept, labels, 0), torch.where(kept, classes, 0)
        means = torch.as_tensor(random_contrast(rng), dtype=torch.float32)
        texture = rng.uniform(0.0, 0.06) * smooth_noise(rng, self.patch, self.patch // 3)
        image = means[labels].unsqueeze(0) * (1 + texture)
        image = soften(image, float(rng.uniform(0.35, 0.75)))
        image = random_appearance(image, rng)
        return {"input": image * float(np.exp(rng.uniform(-0.3, 0.3))), "labels": classes}

    def brain(self, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """Brain and up to 4 mm of fluid over it, as masks of real images have; (1, p, p, p)."""
        inside = (self.classes[labels] > 0).numpy()
        core = inside & (labels != OUTER_FLUID).numpy()
        # distance to the brain; nothing is near where the patch holds none of it
        reach = rng.uniform(0, 4) / self.spacing
        near = ndimage.distance_transform_edt(~core) <= reach if core.any() else core
        return torch.as_tensor((near & inside).astype(np.float32)).unsqueeze(0)


class SimulatedPairs(LabelPatches):
    """Pairs of a rendered T1w and the image that the same labels give in another modality.

    Parameters
    ----------
    maps, patch, batch, seed
        See :class:`LabelPatches`; patches have 1 mm voxels.
    target : (1024,) array
        Its value for every label.
    blur_mm : float
        Standard deviation of the target's point-spread function.
    region : {'brain', 'head'}
        Where the images are not zero and the target counts.
    position : bool
        Whether :func:`~bids_gan.gan.position.position_channels` are inputs beside the T1w.
    """

    def __init__(
        self,
        maps: list[np.ndarray],
        patch: int,
        batch: int,
        target: np.ndarray,
        blur_mm: float = 0.5,
        region: str = "brain",
        seed: int = 0,
        position: bool = False,
    ):
        super().__init__(maps, patch, batch, 1.0, seed)
        self.to_mni = [fit_mni(m) for m in maps] if position else None
        self.target = torch.as_tensor(target, dtype=torch.float32)
        self.blur_mm = blur_mm
        self.region = region
        self.brain_share = 1.0 if region == "brain" else 0.25

    def _patch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        person = int(rng.integers(len(self.maps)))
        places = self._places(person, rng)
        patch = self.render(self._labels(person, places), rng)
        if self.to_mni is not None:
            position = position_channels(inexact(places, rng), self.to_mni[person])
            patch["input"] = torch.cat([patch["input"], position * patch["mask"]])
        return patch

    def render(self, labels: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """T1w of random contrast, its target and classes, see ``Paired.losses`` for the keys."""
        table = label_contrast(rng, "T1w") if rng.random() < 0.6 else random_contrast(rng)
        texture = 1 + rng.uniform(0.0, 0.05) * smooth_noise(rng, self.patch, self.patch // 3)
        t1w = torch.as_tensor(table, dtype=torch.float32)[labels].unsqueeze(0) * texture
        t1w = random_appearance(soften(t1w, float(rng.uniform(0.35, 0.75))), rng)
        t1w = t1w * float(np.exp(rng.uniform(-0.15, 0.15)))
        target = soften(self.target[labels].unsqueeze(0), self.blur_mm)
        mask = torch.ones_like(t1w) if self.region == "head" else self.brain(labels, rng)
        return {
            "input": t1w * mask,
            "target": target * mask,
            "mask": mask,
            "supervised": mask,
            "thickness": torch.tensor(1),
            "labels": self.classes[labels],
        }


def soften(image: Tensor, sigma: float) -> Tensor:
    """Gaussian over the space of (1, D, H, W), `sigma` in voxels; borders are repeated."""
    smooth = ndimage.gaussian_filter(image[0].numpy(), sigma, mode="nearest", truncate=3.0)
    return torch.as_tensor(smooth).unsqueeze(0)
