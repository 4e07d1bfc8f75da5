"""U-Net that is told how well two images agree under shifts along the first axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.losses.precision import full_precision
from bids_gan.gan.networks.layers import crop_to, pad_to_multiple
from bids_gan.gan.networks.unet import (
    ConvBlock,
    contracting_path,
    expand,
    expanding_path,
    space_to_depth,
)

#: added to local variances of images of unit variance: flat regions count little
_VARIANCE_FLOOR = 0.02
#: how much the best shift outweighs others in the expected one
_SHARPNESS = 8.0


class MatchingUNet(nn.Module):
    """Space-to-depth U-Net whose trunk also sees local correlations of pairs of its channels.

    Parameters
    ----------
    in_channels, out_channels : int
    widths : sequence of int
        Channels at each level of the trunk.
    pairs : sequence of (int, int)
        Channels of a displaced image and of the image in place that it is compared with.
    mask : int
        Channel that says where to compare.
    reach : int
        Largest shift to either side, voxels.

    Notes
    -----
    A U-Net needs many examples to find out that displacement is where images correlate. Here
    this is computed (:func:`shifted_correlation`), and what is to be learnt is whom to believe.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...] = (32, 64, 96),
        pairs: Sequence[tuple[int, int]] = ((0, 3), (2, 4)),
        mask: int = 5,
        reach: int = 4,
    ):
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.pairs, self.mask, self.reach = pairs, mask, reach
        matches = len(pairs) * (2 * reach + 1) + 1
        _, self.down = contracting_path(in_channels, widths)
        self.stem = nn.Sequential(
            ConvBlock(8 * in_channels + matches, widths[0]), ConvBlock(widths[0], widths[0])
        )
        self.up, self.head = expanding_path(out_channels, widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to (N, out_channels, D, H, W) of any size."""
        size = x.shape[2:]
        x = pad_to_multiple(x, self.multiple)
        features = [self.stem(torch.cat([space_to_depth(x), self._matches(x)], dim=1))]
        for step in self.down:
            features.append(step(features[-1]))
        return crop_to(expand(features, self.up, self.head), size)

    @torch.no_grad()
    def _matches(self, x: Tensor) -> Tensor:
        """Correlations of every pair, and the shift (voxels) that they expect together."""
        mask = x[:, self.mask : self.mask + 1]
        found = [
            shifted_correlation(x[:, a : a + 1], x[:, b : b + 1], mask, self.reach)
            for a, b in self.pairs
        ]
        shifts = torch.arange(-self.reach, self.reach + 1, device=x.device).float()
        belief = (_SHARPNESS * sum(found)).softmax(dim=1)
        expected = (belief * shifts.reshape(1, -1, 1, 1, 1)).sum(dim=1, keepdim=True)
        return torch.cat([*found, expected], dim=1).to(x.dtype)


@full_precision
def shifted_correlation(moving: Tensor, fixed: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Local correlation of two images under shifts of the first one along the first axis.

    Parameters
    ----------
    moving, fixed, mask : (N, 1, D, H, W) tensor
        Of even size; compared where `mask` is 1.
    reach : int
        Largest shift in voxels.

    Returns
    -------
    (N, 2 * reach + 1, D / 2, H / 2, W / 2) tensor
        Channel k is that of ``moving(y + k - reach)`` with ``fixed(y)``, in windows of 6 voxels.
    """
    length = moving.shape[2]
    moving, fixed = _standard(moving), _standard(fixed)
    padded = F.pad(moving, (0, 0, 0, 0, reach, reach))
    shifted = torch.cat([padded[:, :, k : k + length] for k in range(2 * reach + 1)], dim=1)
    weight, mean_f, square_f = _windows(mask, mask * fixed, mask * fixed.square())
    mean_m, square_m, product = _windows(
        mask * shifted, mask * shifted.square(), mask * fixed * shifted
    )
    share = weight.clamp_min(1e-3)
    mean_f, square_f, mean_m, square_m, product = (
        value / share for value in (mean_f, square_f, mean_m, square_m, product)
    )
    variance_f, variance_m = (
        (square - mean.square()).clamp_min(0) + _VARIANCE_FLOOR
        for square, mean in ((square_f, mean_f), (square_m, mean_m))
    )
    correlation = (product - mean_f * mean_m) * torch.rsqrt(variance_f * variance_m)
    return correlation * (weight > 0.05)


def _windows(*maps: Tensor) -> list[Tensor]:
    """Means of (N, C, D, H, W) over cubes of 6 voxels, at every second one."""
    blocks = F.avg_pool3d(torch.cat(maps, dim=1), 2)
    means = F.avg_pool3d(blocks, 3, stride=1, padding=1)
    return list(means.split([m.shape[1] for m in maps], dim=1))


def _standard(image: Tensor) -> Tensor:
    """Image (N, 1, D, H, W) of unit variance where it is not zero."""
    filled = (image != 0).float()
    count = filled.sum(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1)
    mean = image.sum(dim=(1, 2, 3, 4), keepdim=True) / count
    centred = (image - mean) * filled
    variance = centred.square().sum(dim=(1, 2, 3, 4), keepdim=True) / count
    return centred * torch.rsqrt(variance + 1e-6)
