"""Space-to-depth U-Net: the generator (and segmenter) of the released models."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.layers import crop_to, layers_of, pad_to_multiple


def space_to_depth(x: Tensor, factor: int = 2) -> Tensor:
    """Move each ``factor``³ block of voxels (``factor``² of a slice) into channels.

    Parameters
    ----------
    x : (N, C, D, H, W) or (N, C, H, W) tensor
        Spatial sizes must be multiples of `factor`.

    Returns
    -------
    (N, C * factor³, D / factor, H / factor, W / factor) tensor
        Or (N, C * factor², H / factor, W / factor).
    """
    n, c, *size = x.shape
    blocks = x.reshape(n, c, *(part for length in size for part in (length // factor, factor)))
    places, insides = range(2, blocks.dim(), 2), range(3, blocks.dim(), 2)
    channels = c * factor ** len(size)
    return blocks.permute(0, 1, *insides, *places).reshape(
        n, channels, *(length // factor for length in size)
    )


def depth_to_space(x: Tensor, factor: int = 2) -> Tensor:
    """Undo :func:`space_to_depth`."""
    n, c, *size = x.shape
    dimensions = len(size)
    blocks = x.reshape(n, c // factor**dimensions, *(factor,) * dimensions, *size)
    pairs = ((2 + dimensions + axis, 2 + axis) for axis in range(dimensions))
    return blocks.permute(0, 1, *itertools.chain(*pairs)).reshape(
        n, c // factor**dimensions, *(length * factor for length in size)
    )


class ConvBlock(nn.Sequential):
    """Convolution of size 3, batch normalisation, leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dimensions: int = 3):
        layers = layers_of(dimensions)
        super().__init__(
            layers.convolution(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            # a long memory: these statistics are what inference will use
            layers.batch_norm(outputs, momentum=0.02),
            nn.LeakyReLU(0.01, inplace=True),  # the memory for another copy takes time
        )


def halving_blocks(channels: int, widths: Sequence[int], dimensions: int = 3) -> nn.Sequential:
    """A :class:`ConvBlock` for each width, each of which halves the image."""
    pairs = itertools.pairwise((channels, *widths))
    return nn.Sequential(*(ConvBlock(a, b, stride=2, dimensions=dimensions) for a, b in pairs))


def contracting_path(
    in_channels: int, widths: tuple[int, ...], dimensions: int = 3
) -> tuple[nn.Sequential, nn.ModuleList]:
    """Stem at half the resolution, and the steps down from it, one a level."""
    block = functools.partial(ConvBlock, dimensions=dimensions)
    stem = nn.Sequential(
        block(2**dimensions * in_channels, widths[0]), block(widths[0], widths[0])
    )
    steps = (
        nn.Sequential(block(a, b, stride=2), block(b, b)) for a, b in itertools.pairwise(widths)
    )
    return stem, nn.ModuleList(steps)


def contract(x: Tensor, stem: nn.Module, down: nn.ModuleList) -> list[Tensor]:
    """Features at each level, finest first, of an image of a size that the levels divide."""
    features = [stem(space_to_depth(x))]
    for step in down:
        features.append(step(features[-1]))
    return features


def expanding_path(
    out_channels: int, widths: tuple[int, ...], dimensions: int = 3
) -> tuple[nn.ModuleList, nn.Module]:
    """Steps up, coarsest first, and the head that makes the image."""
    convolution = layers_of(dimensions).convolution
    block = functools.partial(ConvBlock, dimensions=dimensions)
    steps = (
        nn.ModuleList([convolution(b, a, 1), block(2 * a, a), block(a, a)])
        for a, b in reversed(list(itertools.pairwise(widths)))
    )
    up = nn.ModuleList(steps)
    return up, convolution(widths[0], 2**dimensions * out_channels, 3, padding=1)


def expand(features: list[Tensor], up: nn.ModuleList, head: nn.Module) -> Tensor:
    """Image from the features of :func:`contract`."""
    *skips, x = features
    for narrow, merge, refine in up:
        # convolution of size 1 before the interpolation: the same for an eighth of the work
        x = F.interpolate(narrow(x), scale_factor=2, mode="nearest")
        x = refine(merge(torch.cat([x, skips.pop()], dim=1)))
    return depth_to_space(head(x))


class SpaceToDepthUNet(nn.Module):
    """U-Net whose trunk works at half the resolution of its input and output.

    Parameters
    ----------
    in_channels, out_channels : int
    widths : sequence of int
        Channels at each level of the trunk; multiples of 16 use the processor best.
    dimensions : {3, 2}

    Notes
    -----
    The first step moves 2 × 2 × 2 voxels into channels, so no voxel is lost and a 1 mm brain costs
    what a 2 mm one does. Batch normalisation has fixed statistics at inference, so the output of a
    voxel does not depend on how the volume was cropped (unlike instance normalisation); see
    :func:`fold_batch_norm`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        dimensions: int = 3,
    ):
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.stem, self.down = contracting_path(in_channels, widths, dimensions)
        self.up, self.head = expanding_path(out_channels, widths, dimensions)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features at each level of the trunk, finest first; the input may have any size."""
        return contract(pad_to_multiple(x, self.multiple), self.stem, self.down)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, ...) to (N, out_channels, ...) of any size."""
        return crop_to(expand(self.encode(x), self.up, self.head), x.shape[2:])


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
