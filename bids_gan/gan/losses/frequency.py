"""Amplitude spectra (L14 of Yi et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.precision import full_precision


@full_precision
def spectrum_difference(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of the amplitudes of all spatial frequencies.

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
        What is outside counts as zero.

    Notes
    -----
    Unitary Fourier transform after a Hann window along each axis, so that opposite borders, which
    the transform takes for neighbours, meet at nearly zero. Phase is not looked at: an image that
    is negated or mirrored about the centre has the same spectrum, and one that is shifted nearly
    so. Checkerboards, rings and blur have not.
    """
    window = _window(image)
    dims = tuple(range(2, image.dim()))
    a, b = (
        torch.fft.rfftn(window * inside(x, mask), dim=dims, norm="ortho").abs()
        for x in (image, target)
    )
    return (a - b).abs().mean()


def _window(image: Tensor) -> Tensor:
    window = torch.ones((), dtype=image.dtype, device=image.device)
    for length in image.shape[2:]:
        # without the zeros at its ends no voxel is lost
        hann = torch.hann_window(
            length + 2, periodic=False, dtype=image.dtype, device=image.device
        )
        window = window.unsqueeze(-1) * hann[1:-1]
    return window
