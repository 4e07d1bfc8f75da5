"""Cycle consistency (L3 of Yi et al. 2018): there and back again gives what one began with."""

from __future__ import annotations

from torch import Tensor

from bids_gan.gan.losses.image import voxelwise
from bids_gan.gan.losses.structure import dissimilarity


def cycle_consistency(
    returned: Tensor, original: Tensor, mask: Tensor, kind: str = "l1"
) -> Tensor:
    """Difference of an image and its translation back, ``|F(G(x)) - x|`` for one direction.

    Parameters
    ----------
    returned, original : (N, C, ...) tensor
    mask : (N, 1, ...) tensor
    kind : str
        A penalty of :func:`~bids_gan.gan.losses.image.voxelwise`, or ``ssim``.

    Notes
    -----
    Zhu et al. 2017 (https://arxiv.org/abs/1703.10593) weigh it by 10. It needs no pair, and says
    nothing about the translation as such: any two generators that undo each other satisfy it.
    """
    if kind == "ssim":
        return dissimilarity(returned, original, mask)
    return voxelwise(returned, original, mask, kind)
