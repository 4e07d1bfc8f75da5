"""Local correlation inside a mask, in torch."""

from __future__ import annotations

import torch

VARIANCE_FLOOR = 0.02
"""Added to the local variances of unit-variance images: flat regions count little."""


class LocalCorrelation:
    """Mean signed local correlation with a guide image inside a mask.

    Parameters
    ----------
    guide : (I, J, K) tensor
        Reference image, standardised in the mask.
    mask : (I, J, K) tensor
        1 inside, 0 outside; window statistics see the inside only.
    radius : int
        The window is a cube of ``2 * radius + 1`` voxels.
    stride : int
        Distance of window centres in voxels.

    Notes
    -----
    What depends on the guide alone is computed once, at construction.
    """

    def __init__(
        self, guide: torch.Tensor, mask: torch.Tensor, radius: int = 3, stride: int = 1
    ) -> None:
        self.mask, self.masked_guide = mask, guide * mask
        self._bands = [_band(n, radius, stride) for n in mask.shape]
        share, mean, square = self._window_sums(
            torch.stack([mask, self.masked_guide, guide * self.masked_guide])
        )
        self._share = share.clamp_min(1e-6)
        self._mean = mean / self._share
        self._variance = (square / self._share - self._mean**2).clamp_min(0) + VARIANCE_FLOOR
        centre = mask[::stride, ::stride, ::stride]
        self._weight = centre / centre.sum().clamp_min(1)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Scalar in [-1, 1] for an (I, J, K) image, which is standardised first."""
        image = standardise(image, self.mask)
        masked = image * self.mask
        mean, square, product = (
            self._window_sums(torch.stack([masked, image * masked, image * self.masked_guide]))
            / self._share
        )
        variance = (square - mean**2).clamp_min(0) + VARIANCE_FLOOR
        correlation = (product - mean * self._mean) * torch.rsqrt(variance * self._variance)
        return (correlation * self._weight).sum()

    def _window_sums(self, maps: torch.Tensor) -> torch.Tensor:
        """Sums over cubes of (n, I, J, K) maps: one product with a band matrix per axis."""
        first, second, third = self._bands
        maps = second @ (maps @ third.T)
        n, _, j, k = maps.shape
        return (first @ maps.reshape(n, -1, j * k)).reshape(n, -1, j, k)


def standardise(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance inside the mask."""
    total = mask.sum().clamp_min(1)
    mean = (image * mask).sum() / total
    variance = ((image - mean) ** 2 * mask).sum() / total
    return (image - mean) * torch.rsqrt(variance + 1e-12)


def _band(n: int, radius: int, stride: int) -> torch.Tensor:
    """(n / stride, n) matrix of ones within `radius` of every stride-th index."""
    centres = torch.arange(0, n, stride)
    return ((torch.arange(n) - centres[:, None]).abs() <= radius).float()
