"""From an image to one vector."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.unet import halving_blocks


class VectorEncoder(nn.Module):
    """Halve an image several times, then one linear layer.

    Parameters
    ----------
    channels : int
    size : int
        Edge of the images, a multiple of ``2**len(widths)``.
    outputs : int
        Length of the vector.
    widths : sequence of int
        Channels after each halving.
    dimensions : {3, 2}

    Attributes
    ----------
    size : tuple of int
        Of the images.
    coarse : tuple of int
        Channels and size of the last features.
    """

    def __init__(
        self, channels: int, size: int, outputs: int, widths: tuple[int, ...], dimensions: int = 3
    ):
        super().__init__()
        if size % 2 ** len(widths):
            raise ValueError(f"size {size} is not a multiple of {2 ** len(widths)}")
        edge = size // 2 ** len(widths)
        self.size = (size,) * dimensions
        self.coarse = (widths[-1], *(edge,) * dimensions)
        self.contract = halving_blocks(channels, widths, dimensions)
        self.to_vector = nn.Linear(widths[-1] * edge**dimensions, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, ...) to (N, outputs)."""
        if x.shape[2:] != self.size:
            raise ValueError(f"image of {tuple(x.shape[2:])} voxels, made for {self.size}")
        return self.to_vector(self.contract(x).flatten(1))
