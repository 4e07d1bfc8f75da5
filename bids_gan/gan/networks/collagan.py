"""CollaGAN's generator: an encoder a contrast, one decoder for whichever is wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.networks.layers import crop_to, pad_to_multiple
from bids_gan.gan.networks.unet import contract, contracting_path, expand, expanding_path


class CollaborativeUNet(nn.Module):
    """U-Net with a branch of its own on the way down for every contrast.

    Parameters
    ----------
    contrasts : int
        N.
    widths : sequence of int
        Channels at each level of the trunk, all branches together; multiples of N.
    dimensions : {3, 2}

    Notes
    -----
    Each branch sees its contrast, zero when it is missing, and N channels that are one in the
    place of the wanted contrast (Lee et al. 2019, https://arxiv.org/abs/1901.09764). Batch
    normalisation takes the place of instance normalisation, which would subtract such constant
    channels again and whose output depends on the crop; steps as in
    :class:`bids_gan.gan.networks.unet.SpaceToDepthUNet`.
    """

    def __init__(
        self,
        contrasts: int = 4,
        widths: tuple[int, ...] = (32, 64, 128),
        dimensions: int = 3,
    ):
        super().__init__()
        if any(width % contrasts for width in widths):
            raise ValueError(f"widths {widths}: each must be a multiple of {contrasts} contrasts")
        self.contrasts = contrasts
        self.multiple = 2 ** len(widths)
        shares = tuple(width // contrasts for width in widths)
        self.branches = nn.ModuleList(
            nn.ModuleList(contracting_path(1 + contrasts, shares, dimensions))
            for _ in range(contrasts)
        )
        self.up, self.head = expanding_path(1, widths, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 2 × contrasts, ...) to the wanted contrast, raw (N, 1, ...), of any size.

        Parameters
        ----------
        x : tensor
            The contrasts, zero where missing, and then as many channels of which one is one.
        """
        padded = pad_to_multiple(x, self.multiple)
        images, wanted = padded.split(self.contrasts, dim=1)
        features = [
            contract(torch.cat([image, wanted], dim=1), *branch)
            for image, branch in zip(images.split(1, dim=1), self.branches, strict=True)
        ]
        together = [torch.cat(level, dim=1) for level in zip(*features, strict=True)]
        return crop_to(expand(together, self.up, self.head), x.shape[2:])
