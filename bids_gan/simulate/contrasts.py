"""Training patches of several aligned contrasts, rendered from label maps by one protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bids_gan.distortion.forward import distort
from bids_gan.gan.training.augment import (
    patch_coordinates,
    random_matrix,
    smooth_noise,
)
from bids_gan.simulate.composition import LESION
from bids_gan.simulate.patches import LabelPatches, soften
from bids_gan.simulate.physics import protocol_contrasts

WHITE_MATTER = 2


class ContrastPatches(LabelPatches):
    """Patches of a person in each sequence of a protocol.

    Parameters
    ----------
    maps, patch, batch, seed
        See :class:`LabelPatches`.
    contrasts : sequence of {'T1w', 'T2w', 'PDw', 'FLAIR', 'b0'}
    lesions : float
        Share of the people that have a lesion in the white matter of the patch.
    spacing : float
        Voxel size in mm.
    epi_shift_mm : float
        Largest displacement, back to front, in an echo-planar readout of the last contrast; there
        is no such readout when 0.
    """

    def __init__(
        self,
        maps: list[np.ndarray],
        patch: int,
        batch: int,
        contrasts: Sequence[str],
        lesions: float = 0.0,
        seed: int = 0,
        spacing: float = 1.0,
        epi_shift_mm: float = 0.0,
    ):
        super().__init__(maps, patch, batch, spacing, seed)
        self.contrasts = tuple(contrasts)
        self.lesions = lesions
        self.epi_shift = epi_shift_mm / spacing
        self.brain_share = 1.0

    def render(self, labels: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """Images of the labels (p, p, p) of a patch.

        Returns
        -------
        dict
            ``contrasts`` (K, p, p, p), white matter near 1, zero outside ``mask`` (1, p, p, p);
            classes of the healthy tissue, ``labels`` (p, p, p) int64; with lesions also where
            they are, ``lesion`` (1, p, p, p); with an echo-planar readout what it recorded of the
            brain, ``acquired``, and by how many voxels it displaced it, ``shift``, (1, p, p, p).
        """
        mask = self.brain(labels, rng)
        result = {"mask": mask, "labels": self.classes[labels]}
        if self.lesions:
            lesion = random_lesion(labels, rng) & (rng.random() < self.lesions)
            labels = torch.where(lesion, LESION, labels)
            result["lesion"] = lesion.float().unsqueeze(0)
        return result | self._images(labels, mask, rng)

    def _images(self, labels: Tensor, mask: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        means = torch.as_tensor(protocol_contrasts(rng, self.contrasts), dtype=torch.float32)
        texture = self._texture(rng)
        images = []
        for mean in means:
            scan = self._scan(mean[labels].unsqueeze(0) * texture, rng)
            images.append(self._noisy(scan, rng))
        readout = self._epi(scan * mask, rng) if self.epi_shift else {}
        return {"contrasts": torch.cat(images) * mask, **readout}

    def _texture(self, rng: np.random.Generator) -> Tensor:
        """Of the tissue, while coil and noise are of the scan; (1, p, p, p)."""
        return 1 + rng.uniform(0.0, 0.04) * smooth_noise(rng, self.patch, self.patch // 3)

    def _epi(self, scan: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """Echo-planar readout of a scan in a smooth field."""
        field = smooth_noise(rng, self.patch, 4)
        shift = self.epi_shift * rng.uniform(0.5, 1) * field / field.abs().max()
        # with a readout of one second a field in Hz is a displacement in voxels
        acquired = distort(scan[0].numpy(), shift[0].numpy(), "j", 1.0)
        return {"acquired": self._noisy(torch.as_tensor(acquired)[None], rng), "shift": shift}

    def _scan(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Point-spread function and coil sensitivity."""
        image = soften(image, 0.5)
        return image * torch.exp(rng.uniform(0, 0.1) * smooth_noise(rng, self.patch, 3))

    @staticmethod
    def _noisy(image: Tensor, rng: np.random.Generator) -> Tensor:
        """Magnitude of the image and complex noise (Rician)."""
        sigma = rng.uniform(0.01, 0.05)
        real, imaginary = (
            torch.as_tensor(sigma * rng.standard_normal(image.shape), dtype=torch.float32)
            for _ in range(2)
        )
        return torch.hypot(image + real, imaginary)


class WholeBrains(ContrastPatches):
    """Whole brains, all in the middle of their patch, a little turned and stretched.

    Parameters
    ----------
    people : int
        How many there are, each rendered when it is first drawn and then kept in half precision;
        0 for another one every time.
    maps, patch, batch, contrasts, ...
        See :class:`ContrastPatches`; ``patch * spacing`` must be wide enough for a brain.
    """

    def __init__(self, *arguments, people: int = 0, **options):
        super().__init__(*arguments, **options)
        self.people = people
        self._kept: dict[int, dict[str, Tensor]] = {}

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`; nobody is in it twice."""
        if not self.people:
            return super().batch(step)
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(self.people, self.size, replace=False)
        people = [self._person(int(index)) for index in chosen]
        return {key: torch.stack([p[key] for p in people]) for key in people[0]}

    def _person(self, index: int) -> dict[str, Tensor]:
        if index not in self._kept:
            person = self._patch(np.random.default_rng([self.seed, index, 1]))
            self._kept[index] = {
                key: value.to(_KEPT[value.dtype]) for key, value in person.items()
            }
        kept = self._kept[index]
        return {key: value.to(_USED[value.dtype]) for key, value in kept.items()}

    def _places(self, person: int, rng: np.random.Generator) -> Tensor:
        places = self.brains[person]
        middle = places.mean(0) + rng.normal(0, 2, 3)
        matrix = self.spacing * random_matrix(rng, 8, 0.08)
        return patch_coordinates(middle, matrix, self.patch)


#: type of what is used -> type that it is kept in, which takes less memory
_KEPT = {torch.float32: torch.float16, torch.int64: torch.uint8}
_USED = {kept: used for used, kept in _KEPT.items()}


def random_lesion(labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Uneven ball of 3 to 6 mm radius in the white matter.

    Parameters
    ----------
    labels : (p, p, p) int64 tensor
        1 mm voxels.
    rng : Generator

    Returns
    -------
    (p, p, p) bool tensor
        Empty when the patch has no white matter.
    """
    white = labels == WHITE_MATTER
    places = white.nonzero()
    if not len(places):
        return white
    axes = [torch.arange(n, dtype=torch.float32) for n in labels.shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    distance = (grid - places[int(rng.integers(len(places)))]).norm(dim=-1)
    surface = rng.uniform(3, 6) * (1 + 0.3 * smooth_noise(rng, len(labels), 6)[0])
    return white & (distance < surface)
