"""Losses that are added to a method's own: what they look at, and what they are multiplied by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

#: what a batch may know of its people beside their images
KNOWN = ("labels", "classes", "acquired", "shift")


@dataclass(frozen=True)
class Example:
    """A batch of generated images with all that is known of them.

    Attributes
    ----------
    image : (N, C, ...) tensor
        Generated.
    source : (N, C, ...) tensor
        What it was made of.
    mask : (N, 1, ...) tensor
        Where to compare.
    target : (N, C, ...) tensor, optional
        Aligned with the image.
    labels : (N, ...) int64 tensor, optional
        Tissue of each voxel.
    classes : (N,) int64 tensor, optional
        What kind of image it should be.
    acquired : (N, C, ...) tensor, optional
        What an echo-planar readout recorded of it.
    shift : (N, 1, ...) tensor, optional
        How far that readout displaced each voxel along the second spatial axis, in voxels.
    """

    image: Tensor
    source: Tensor
    mask: Tensor
    target: Tensor | None = None
    labels: Tensor | None = None
    classes: Tensor | None = None
    acquired: Tensor | None = None
    shift: Tensor | None = None

    @classmethod
    def of(
        cls,
        batch: Mapping[str, Tensor],
        image: Tensor,
        source: Tensor,
        mask: Tensor,
        target: Tensor | None = None,
    ) -> Example:
        """Generated images with what a batch says of their people, by the names from above."""
        known = {key: batch[key] for key in KNOWN if key in batch}
        return cls(image, source, mask, target, **known)

    @property
    def reference(self) -> Tensor:
        """The target, or the source where there is none."""
        return self.source if self.target is None else self.target


class Term(NamedTuple):
    """A loss with its name in the log and its weight.

    Weights are against the method's leading term (L1 or cycle consistency), which has weight one.
    """

    name: str
    weight: float
    loss: Callable[[Example], Tensor]


def weighted(terms: Sequence[Term], example: Example) -> dict[str, Tensor]:
    """Value of each term times its weight."""
    return {term.name: term.weight * term.loss(example) for term in terms}
