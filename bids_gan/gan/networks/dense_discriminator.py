"""Dense discriminator: one score of the whole image."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bids_gan.gan.networks.patchgan import judging_layers


class DenseDiscriminator(nn.Module):
    """C64-C128-C256-C512 of :class:`PatchDiscriminator`, then a layer that sees everything.

    Parameters
    ----------
    in_channels, base, layers, dimensions
        See :class:`~bids_gan.gan.networks.patchgan.PatchDiscriminator`.
    size : int
        Edge of the images, ``2**(layers + 1)`` or more.

    Raises
    ------
    ValueError
        When nothing is left of an image of that size.
    """

    def __init__(
        self, in_channels: int, size: int, base: int = 32, layers: int = 3, dimensions: int = 3
    ):
        super().__init__()
        edge = size // 2**layers - 1
        if edge < 1:
            raise ValueError(f"size {size}: {layers} layers need images of {2 ** (layers + 1)}")
        blocks, width = judging_layers(in_channels, base, layers, dimensions)
        score = nn.Linear(width * edge**dimensions, 1)
        self.net = nn.Sequential(*blocks, nn.Flatten(), spectral_norm(score))

    def forward(self, x: Tensor) -> Tensor:
        """Return one realism score an image, (N, 1)."""
        return self.net(x)
