"""UNIT's four generator halves around one latent space."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.decoder import ResNetDecoder
from bids_gan.gan.networks.encoder import ResNetEncoder
from bids_gan.gan.networks.layers import crop_to, pad_to_multiple
from bids_gan.gan.networks.resnet import ResidualBlock, initialise


class SharedLatentGenerator(nn.Module):
    """An encoder and a decoder a contrast; the blocks next to the latent space are common.

    Parameters
    ----------
    in_channels, out_channels : int
        Of source and target.
    base : int
        Channels of the outermost layers; the latent space has four times as many.
    blocks : int
        Residual blocks of each half, the shared one included.
    dimensions : {3, 2}

    Notes
    -----
    The last block of both encoders is one block, and so is the first of both decoders: what comes
    between is one space for both contrasts (Liu et al. 2017, https://arxiv.org/abs/1703.00848).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 16,
        blocks: int = 4,
        dimensions: int = 3,
    ):
        super().__init__()
        own = {"base": base, "blocks": blocks - 1, "dimensions": dimensions}
        channels = {"source": in_channels, "target": out_channels}
        self.encoders = nn.ModuleDict({k: ResNetEncoder(c, **own) for k, c in channels.items()})
        self.decoders = nn.ModuleDict({k: ResNetDecoder(c, **own) for k, c in channels.items()})
        self.last_encoded = ResidualBlock(4 * base, dimensions)
        self.first_decoded = ResidualBlock(4 * base, dimensions)
        initialise(self)

    def encode(self, x: Tensor, contrast: str) -> Tensor:
        """Mean of the latent code, (N, 4b, ...) of a quarter of the size.

        Parameters
        ----------
        x : (N, C, ...) tensor
            Sizes of 8 and more.
        contrast : {'source', 'target'}
            Of `x`.
        """
        return self.last_encoded(self.encoders[contrast](pad_to_multiple(x, 4, "reflect")))

    def decode(self, z: Tensor, contrast: str) -> Tensor:
        """Raw image of a contrast, four times the size of its latent code."""
        return self.decoders[contrast](self.first_decoded(z))

    def forward(self, x: Tensor) -> Tensor:
        """Source (N, in_channels, ...) to raw target (N, out_channels, ...), without noise."""
        return crop_to(self.decode(self.encode(x, "source"), "target"), x.shape[2:])
