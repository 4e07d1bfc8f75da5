"""T1w-like images of random contrast from whole-head label maps.

Label values follow FreeSurfer inside the head; values from 500 on are tissue outside the brain.
The brain-mask network learns from these images alone, so it depends on no scanner's contrast
(domain randomisation, Billot et al. 2023, https://arxiv.org/abs/2107.09559).
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from bids_gan.gan.training.augment import (
    patch_coordinates,
    random_appearance,
    random_matrix,
    sample,
    smooth_noise,
)

#: what the anatomy network tells apart
CLASSES = (
    "outside", "csf", "cortical grey", "deep grey", "white", "cerebellar grey",
    "cerebellar white", "brainstem",
)  # fmt: skip
#: FreeSurfer labels of each class; ventral diencephalon, hippocampus and amygdala are deep grey
CLASS_LABELS = (
    (), (4, 5, 14, 15, 24, 72), (3,), (10, 11, 12, 13, 17, 18, 26, 28, 136, 163), (2, 25, 30, 85),
    (8,), (7,), (16,),
)  # fmt: skip
#: FreeSurfer label of the fluid over the brain
OUTER_FLUID = 24

#: FreeSurfer label -> mean T1w intensity relative to white matter
BRAIN_LABELS = {
    2: 1.0, 3: 0.68, 4: 0.2, 5: 0.2, 7: 0.98, 8: 0.68, 10: 0.86, 11: 0.72, 12: 0.8, 13: 0.92,
    14: 0.2, 15: 0.2, 16: 0.92, 17: 0.68, 18: 0.7, 24: 0.2, 25: 0.85, 26: 0.75, 28: 0.9, 30: 0.3,
    72: 0.2, 85: 0.85, 136: 0.7, 163: 0.7,
}  # fmt: skip
RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18,
    57: 25, 58: 26, 60: 28, 62: 30, 137: 136, 164: 163,
}  # fmt: skip
FIRST_OUTSIDE = 500


def load_label_map(path: Path) -> np.ndarray:
    """Read a label map as RAS+ (I, J, K) int16 with left and right labels merged.

    Raises
    ------
    ValueError
        For a brain label that is not known.
    """
    labels = np.asanyarray(nib.as_closest_canonical(nib.load(path)).dataobj).astype(np.int16)
    for right, left in RIGHT_TO_LEFT.items():
        labels[labels == right] = left
    unknown = set(np.unique(labels[labels < FIRST_OUTSIDE])) - set(BRAIN_LABELS) - {0}
    if unknown:
        raise ValueError(f"{path}: labels {sorted(unknown)} are not known")
    return labels


def class_table(size: int = 1024) -> np.ndarray:
    """Lookup table from label value to the index in :data:`CLASSES`."""
    table = np.zeros(size, np.int64)
    for index, labels in enumerate(CLASS_LABELS):
        table[list(labels)] = index
    return table


def random_contrast(rng: np.random.Generator, size: int = 1024) -> np.ndarray:
    """Lookup table from label value to a random mean intensity.

    The tissues of the brain keep the order that they have in T1w images, with wide jitter; tissue
    outside the brain is arbitrary.
    """
    table = rng.uniform(0.0, 1.5, size)
    table[0] = rng.uniform(0, 0.1)
    spread = rng.uniform(0.7, 1.3)
    for label, mean in BRAIN_LABELS.items():
        table[label] = max(1 - spread * (1 - mean) + rng.normal(0, 0.06), 0.02)
    return table


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
        self.maps = [torch.as_tensor(m).unsqueeze(0) for m in maps]
        self.heads = [np.argwhere(m[::4, ::4, ::4] > 0) * 4 for m in maps]
        self.brains = [
            np.argwhere((m[::4, ::4, ::4] > 0) & (m[::4, ::4, ::4] < FIRST_OUTSIDE)) * 4
            for m in maps
        ]
        self.patch = patch
        self.size = batch
        self.spacing = spacing
        self.seed = seed
        self.classes = torch.as_tensor(class_table())

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`: ``input`` (N, 1, p, p, p) float32, ``labels`` (N, p, p, p) int64."""
        rng = np.random.default_rng([self.seed, step])
        patches = [self._patch(rng) for _ in range(self.size)]
        return {key: torch.stack([p[key] for p in patches]) for key in patches[0]}

    def _patch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        person = int(rng.integers(len(self.maps)))
        places = self.brains[person] if rng.random() < 0.85 else self.heads[person]
        centre = places[rng.integers(len(places))] + rng.uniform(-8, 8, 3)
        matrix = self.spacing * random_matrix(rng, 20, 0.2)
        coordinates = patch_coordinates(centre, matrix, self.patch)
        warp = rng.uniform(0, 4) * smooth_noise(rng, self.patch, 6, channels=3)
        labels = sample(self.maps[person], coordinates + warp.movedim(0, -1), mode="nearest")
        return self.render(labels.squeeze(0).round().long(), rng)

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
        image = _soften(image, float(rng.uniform(0.35, 0.75)))
        image = random_appearance(image, rng)
        return {"input": image * float(np.exp(rng.uniform(-0.3, 0.3))), "labels": classes}


def _soften(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian of three taps: partial volume at tissue borders."""
    side = float(np.exp(-0.5 / sigma**2))
    kernel = torch.tensor([side, 1.0, side]) / (1 + 2 * side)
    x = image.unsqueeze(0)
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 3
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 1
        x = torch.nn.functional.conv3d(
            torch.nn.functional.pad(x, pad, mode="replicate"), kernel.reshape(shape)
        )
    return x.squeeze(0)
