"""Patches of source and target that have nothing to do with each other."""

from __future__ import annotations

from torch import Tensor

from bids_gan.gan.training.pairs import PairPatches, Person


class UnpairedPatches:
    """Source patches of some people, target patches of others, drawn independently.

    Parameters
    ----------
    sources, targets : list of Person
        May be the same people: of the first only the T1w is used, of the second only the target.
    patch : int
        Edge of the cube in voxels.
    batch : int
        Patches a step.
    seed : int
    position : bool
        See :class:`PairPatches`.
    """

    def __init__(
        self,
        sources: list[Person],
        targets: list[Person],
        patch: int,
        batch: int,
        seed: int = 0,
        position: bool = False,
    ):
        self.sources = PairPatches(sources, patch, batch, seed, position)
        self.targets = PairPatches(targets, patch, batch, seed + 1, position)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`: ``input`` with its ``mask``, ``target`` with its ``target_mask``."""
        source, target = self.sources.batch(step), self.targets.batch(step)
        return {
            "input": source["input"],
            "mask": source["mask"],
            "target": target["target"],
            "target_mask": target["mask"],
        }
