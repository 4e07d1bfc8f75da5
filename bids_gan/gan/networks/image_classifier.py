"""Network that says of which class an image is."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.unet import halving_blocks


class ImageClassifier(nn.Module):
    """Strided convolutions, the largest response of each channel, a linear layer.

    Parameters
    ----------
    in_channels, classes : int
    widths : sequence of int
        Channels after each halving of the image.
    dimensions : {3, 2}

    Notes
    -----
    The largest response, not the mean, because a lesion is small and one is enough.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: tuple[int, ...] = (16, 32, 64),
        dimensions: int = 3,
    ):
        super().__init__()
        self.trunk = halving_blocks(in_channels, widths, dimensions)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, in_channels, ...) of any size."""
        return self.head(self.trunk(x).flatten(2).amax(2))
