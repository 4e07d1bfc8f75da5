"""Space-to-depth 3D U-Net: the generator (and segmenter) of the released models."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def space_to_depth(x: Tensor, factor: int = 2) -> Tensor:
    """Move each ``factor``³ block of voxels into channels.

    Parameters
    ----------
    x : (N, C, D, H, W) tensor
        Spatial sizes must be multiples of `factor`.

    Returns
    -------
    (N, C * factor³, D / factor, H / factor, W / factor) tensor
    """
    n, c, d, h, w = x.shape
    f = factor
    x = x.reshape(n, c, d // f, f, h // f, f, w // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, c * f**3, d // f, h // f, w // f)


def depth_to_space(x: Tensor, factor: int = 2) -> Tensor:
    """Undo :func:`space_to_depth`."""
    n, c, d, h, w = x.shape
    f = factor
    x = x.reshape(n, c // f**3, f, f, f, d, h, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, c // f**3, d * f, h * f, w * f)


class ConvBlock(nn.Sequential):
    """Convolution 3³, batch normalisation, leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            # a long memory: these statistics are what inference will use
            nn.BatchNorm3d(outputs, momentum=0.02),
            nn.LeakyReLU(0.01),
        )


class SpaceToDepthUNet(nn.Module):
    """U-Net whose trunk works at half the resolution of its input and output.

    Parameters
    ----------
    in_channels, out_channels : int
    widths : sequence of int
        Channels at each level of the trunk; multiples of 16 use the processor best.

    Notes
    -----
    The first step moves 2 × 2 × 2 voxels into channels, so no voxel is lost and a 1 mm brain costs
    what a 2 mm one does. Batch normalisation has fixed statistics at inference, so the output of a
    voxel does not depend on how the volume was cropped (unlike instance normalisation); see
    :func:`fold_batch_norm`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, widths: tuple[int, ...] = (32, 64, 128, 192)
    ):
        super().__init__()
        self.multiple = 2 ** len(widths)
        levels = list(itertools.pairwise(widths))
        self.stem = nn.Sequential(
            ConvBlock(8 * in_channels, widths[0]), ConvBlock(widths[0], widths[0])
        )
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b, stride=2), ConvBlock(b, b)) for a, b in levels
        )
        self.up = nn.ModuleList(
            nn.ModuleList([nn.Conv3d(b, a, 1), ConvBlock(2 * a, a), ConvBlock(a, a)])
            for a, b in reversed(levels)
        )
        self.head = nn.Conv3d(widths[0], 8 * out_channels, 3, padding=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features at each level of the trunk, finest first; the input may have any size."""
        pad = [(-n) % self.multiple for n in x.shape[2:]]
        x = F.pad(x, (0, pad[2], 0, pad[1], 0, pad[0]))
        features = [self.stem(space_to_depth(x))]
        for down in self.down:
            features.append(down(features[-1]))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to (N, out_channels, D, H, W) of any size."""
        size = x.shape[2:]
        *skips, x = self.encode(x)
        for narrow, merge, refine in self.up:
            # 1³ convolution before the interpolation: the same result for an eighth of the work
            x = F.interpolate(narrow(x), scale_factor=2, mode="nearest")
            x = refine(merge(torch.cat([x, skips.pop()], dim=1)))
        x = depth_to_space(self.head(x))
        return x[:, :, : size[0], : size[1], : size[2]]


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Merge every batch normalisation into the convolution before it, in place.

    Only valid for inference: the running statistics become part of the weights.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvBlock):
            module[0] = nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return network
