"""Pieces that methods have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.heads import bounded, slice_profile
from bids_gan.gan.inference import tiled
from bids_gan.gan.losses.image import agreement


def adam(
    modules: dict[str, nn.Module],
    learning_rate: float,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 0.0,
) -> dict[str, torch.optim.Optimizer]:
    """Adam for each module, with the short memory that adversarial training is used to."""
    return {
        name: torch.optim.Adam(
            module.parameters(), learning_rate, betas, weight_decay=weight_decay
        )
        for name, module in modules.items()
    }


def adamw(network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW for a network that learns from what is known, judged by nobody or hardly so."""
    return torch.optim.AdamW(network.parameters(), learning_rate, (0.9, 0.99))


@contextmanager
def same_noise() -> Iterator[None]:
    """Random numbers that are the same every time; those outside go on as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class ValidatedInTiles:
    """Validation of a method whose generator runs on cubes of the size of its training patches.

    Attributes
    ----------
    tile : int
        Edge of the cubes in voxels.
    channels : int
        Of the input, the first of which the generator is given.
    value_range : str
        Of the image, see :data:`bids_gan.gan.heads.RANGES`.
    """

    tile: int
    channels: int = 1
    value_range: str

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Masked L1 and Pearson correlation of a whole volume; here even others look at pairs."""
        return agreement(self._whole(network, batch), batch["target"], batch["supervised"])

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Input, target and output of the first volume of a batch."""
        return panels(batch, self._whole(network, batch))

    def _whole(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        raw = tiled(network, batch["input"][:, : self.channels], self.tile)
        return slice_profile(bounded(raw, self.value_range), batch["thickness"])


class Turns:
    """Whose turn it is when the discriminator moves several times for each move of the generator.

    Parameters
    ----------
    every : int
        The generator moves at each `every`-th call.

    Notes
    -----
    The position in the schedule cannot tell: by the clock it skips and repeats numbers. The count
    belongs to the ``state`` of a method, so that a resumed run takes up the right turn.
    """

    def __init__(self, every: int):
        self.every = every
        self.count = 0

    def generator_moves(self) -> bool:
        """Count a step, and tell whether the generator learns in it."""
        self.count += 1
        return self.count % self.every == 0

    def state_dict(self) -> dict[str, int]:
        """Return the count."""
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a count of :meth:`state_dict`."""
        self.count = state["count"]


def label_channels(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """A channel a class, one everywhere for the class of the image and zero in the others.

    Parameters
    ----------
    labels : (N,) int64 tensor
    classes : int
        K.
    like : (N, ...) tensor
        Gives size and type.

    Returns
    -------
    (N, K, ...) tensor
    """
    onehot = F.one_hot(labels, classes).to(like.dtype)
    return onehot.reshape(*onehot.shape, *(1,) * (like.dim() - 2)).expand(-1, -1, *like.shape[2:])


def panels(batch: dict[str, Tensor], made: Tensor) -> dict[str, Tensor]:
    """Input, target and what was made of it, of the first pair of a batch, to be drawn."""
    mask = batch["mask"][0, 0]
    return {
        "input": batch["input"][0, 0].float(),
        "target": batch["target"][0, 0] * mask,
        "output": made[0, 0].float() * mask,
    }


def opinion(critic: nn.Module, image: Tensor):
    """What a discriminator says of a generated image; it learns nothing, its generator does."""
    critic.requires_grad_(False)
    result = critic(image)
    critic.requires_grad_(True)
    return result
