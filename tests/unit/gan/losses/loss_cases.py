"""Every loss that compares two images inside a mask, and images to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bids_gan.gan.losses import gradient, image, scale_space
from bids_gan.gan.losses.cycle import cycle_consistency
from bids_gan.gan.losses.filters import correlate, gaussian_kernel
from bids_gan.gan.losses.frequency import spectrum_difference
from bids_gan.gan.losses.perceptual import PerceptualLoss, SaliencyLoss, StyleContentLoss
from bids_gan.gan.losses.physical import acquisition_difference
from bids_gan.gan.losses.regularisation import regulation, self_regularisation
from bids_gan.gan.losses.structure import dissimilarity


class Encoder(nn.Module):
    """Two levels of features, in as many dimensions as wanted."""

    def __init__(self, dimensions: int):
        super().__init__()
        convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2]
        self.fine = convolution(1, 4, 3, padding=1)
        self.coarse = convolution(4, 6, 3, stride=2, padding=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        fine = nn.functional.leaky_relu(self.fine(x), 0.1)
        return [fine, nn.functional.leaky_relu(self.coarse(fine), 0.1)]

    def forward(self, x: Tensor) -> Tensor:
        return self.fine(x)


def encoder(dimensions: int, dtype=torch.double) -> Encoder:
    torch.manual_seed(5)
    return Encoder(dimensions).to(dtype)


@dataclass(frozen=True)
class Case:
    """A loss ``(image, reference, mask)`` and the degradations that it claims to grow with."""

    name: str
    make: Callable[[int, torch.dtype], Callable[[Tensor, Tensor, Tensor], Tensor]]
    grows_with: tuple[str, ...] = ("blur", "shift", "noise")


def _plain(function, **options):
    return lambda dimensions, dtype: partial(function, **options)


def _seen(loss):
    return lambda dimensions, dtype: loss(encoder(dimensions, dtype), 2)


def _smooth(x: Tensor) -> Tensor:
    return correlate(x, [gaussian_kernel(0.8)] * (x.dim() - 2))


def _acquired(dimensions, dtype):
    def loss(x, y, mask):
        return acquisition_difference(x, _smooth(torch.where(mask > 0, y, 0)), mask, model=_smooth)

    return loss


CASES = (
    Case("pixel-wise l1", _plain(image.voxelwise)),
    Case("pixel-wise l2", _plain(image.voxelwise, penalty="l2")),
    Case("pixel-wise huber", _plain(image.voxelwise, penalty="huber")),
    Case("pixel-wise charbonnier", _plain(image.voxelwise, penalty="charbonnier")),
    Case("cycle", _plain(cycle_consistency)),
    Case("cycle ssim", _plain(cycle_consistency, kind="ssim")),
    Case("gradient", _plain(gradient.gradient_difference)),
    Case("gradient-consistency", _plain(gradient.gradient_consistency)),
    Case("edge", _plain(gradient.edge_weighted)),
    Case("sharpness", _plain(scale_space.sharpness_difference), ("blur", "noise")),
    Case("perceptual", _seen(PerceptualLoss)),
    Case("structure", _plain(dissimilarity)),
    Case("style-content", _seen(StyleContentLoss)),
    Case("self-regularisation", _plain(self_regularisation)),
    Case("self-regularisation blurred", _plain(self_regularisation, sigma_mm=1.0)),
    Case("steerable", _plain(scale_space.steerable_difference)),
    Case("frequency", _plain(spectrum_difference), ("blur", "noise")),
    Case("saliency", _seen(SaliencyLoss)),
    Case("physical", _acquired),
    Case("regulation", _plain(regulation)),
)


def picture(dimensions: int, edge: int = 16, seed: int = 0, dtype=torch.double) -> Tensor:
    """Blobs a few voxels wide between 0 and 1, (1, 1, edge, ...)."""
    noise = torch.rand(
        1, 1, *(edge,) * dimensions, generator=torch.Generator().manual_seed(seed)
    ).double()
    blobs = correlate(noise, [gaussian_kernel(1.2)] * dimensions)
    return ((blobs - blobs.min()) / (blobs.max() - blobs.min())).to(dtype)


def some_mask(like: Tensor, seed: int = 1) -> Tensor:
    """A ball with some holes."""
    centre = [torch.arange(n) - (n - 1) / 2 for n in like.shape[2:]]
    distance = sum(x.square() for x in torch.meshgrid(*centre, indexing="ij")).sqrt()
    ball = distance <= 0.55 * like.shape[-1]
    holes = torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)) < 0.1
    return (ball & ~holes).to(like.dtype)


def degraded(x: Tensor, how: str, strength: float) -> Tensor:
    """Blurred or shifted by 0 to 3 voxels, or noisy."""
    if how == "blur":
        return correlate(x, [gaussian_kernel(strength)] * (x.dim() - 2))
    if how == "shift":
        return x.roll(round(strength), -1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3)).to(x)
    return x + 0.1 * strength * noise
