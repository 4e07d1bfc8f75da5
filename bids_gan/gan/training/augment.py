"""Random changes of appearance and geometry for training patches, all in torch, all seeded."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def random_matrix(
    rng: np.random.Generator, degrees: float = 12.0, scale: float = 0.12, flip: bool = True
) -> np.ndarray:
    """Random 3 × 3 rotation times anisotropic scaling, in half of the cases mirrored along x."""
    x, y, z = np.radians(rng.uniform(-degrees, degrees, 3))
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    rotation = (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )
    zoom = np.exp(rng.uniform(-scale, scale, 3))
    if flip and rng.random() < 0.5:
        zoom[0] = -zoom[0]
    return rotation @ np.diag(zoom)


def patch_coordinates(centre: np.ndarray, matrix: np.ndarray, patch: int) -> Tensor:
    """Voxel coordinates (patch, patch, patch, 3) of a cube placed and turned in a volume."""
    axis = torch.arange(patch, dtype=torch.float32) - (patch - 1) / 2
    cube = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    return cube @ torch.as_tensor(matrix.T, dtype=torch.float32) + torch.as_tensor(
        centre, dtype=torch.float32
    )


def inexact(coordinates: Tensor, rng: np.random.Generator) -> Tensor:
    """Move voxel coordinates (..., 3) by 2 mm or so: the affine to the template is never exact."""
    return coordinates + torch.as_tensor(rng.normal(0, 2.0, 3), dtype=torch.float32)


def smooth_noise(
    rng: np.random.Generator,
    patch: int | tuple[int, int, int],
    knots: int,
    channels: int = 1,
) -> Tensor:
    """Standard normal values on a coarse grid, blown up smoothly to (channels, patch³)."""
    size = (patch,) * 3 if isinstance(patch, int) else tuple(patch)
    coarse = torch.as_tensor(rng.standard_normal((1, channels, knots, knots, knots)))
    return F.interpolate(coarse.float(), size=size, mode="trilinear", align_corners=True).squeeze(
        0
    )


def nearest(volume: Tensor, coordinates: Tensor) -> Tensor:
    """Values of (D, H, W) at the voxels nearest to coordinates (..., 3); zero outside."""
    size = torch.tensor(volume.shape)
    places = coordinates.round().long()
    inside = ((places >= 0) & (places < size)).all(-1)
    return volume[places.clamp_min(0).minimum(size - 1).unbind(-1)] * inside


def sample(volume: Tensor, coordinates: Tensor) -> Tensor:
    """Read (C, D, H, W) at voxel coordinates (..., 3), linearly; zero outside.

    Only the box that the coordinates touch is read, so `volume` may be memory-mapped or half
    precision.
    """
    low = coordinates.amin((0, 1, 2)).floor().long().clamp_min(0)
    size = torch.tensor(volume.shape[1:])
    low = torch.minimum(low, size - 2)
    high = torch.minimum(coordinates.amax((0, 1, 2)).ceil().long() + 1, size)
    high = torch.maximum(high, low + 2)
    (a, b, c), (d, e, f) = low.tolist(), high.tolist()
    box = volume[:, a:d, b:e, c:f].float().unsqueeze(0)
    extent = torch.tensor(box.shape[2:]) - 1
    grid = (2 * (coordinates - low) / extent - 1).flip(-1).unsqueeze(0)
    return F.grid_sample(box, grid, align_corners=True).squeeze(0)


def lower_resolution(image: Tensor, rng: np.random.Generator, largest: float = 3.0) -> Tensor:
    """Average over larger, often anisotropic voxels and interpolate back; (C, D, H, W)."""
    factors = np.ones(3)
    if rng.random() < 0.5:
        factors[rng.integers(3)] = rng.uniform(1.0, largest)
    else:
        factors[:] = rng.uniform(1.0, min(largest, 2.2))
    size = tuple(round(n / f) for n, f in zip(image.shape[1:], factors, strict=True))
    small = F.interpolate(image.unsqueeze(0), size=size, mode="area")
    return F.interpolate(
        small, size=image.shape[1:], mode="trilinear", align_corners=False
    ).squeeze(0)


def random_appearance(
    image: Tensor,
    rng: np.random.Generator,
    *,
    bias: float = 0.25,
    gamma: float = 0.3,
    noise: float = 0.06,
    blur_probability: float = 0.5,
) -> Tensor:
    """Bias field, contrast curve, resolution and Rician noise on a (1, D, H, W) image >= 0."""
    patch = image.shape[-1]
    image = image * torch.exp(
        rng.uniform(0, bias) * smooth_noise(rng, patch, int(rng.integers(2, 5)))
    )
    image = image.clamp_min(0) ** float(np.exp(rng.uniform(-gamma, gamma)))
    if rng.random() < blur_probability:
        image = lower_resolution(image, rng)
    sigma = rng.uniform(0, noise)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    real = image + sigma * torch.randn(image.shape, generator=generator)
    imaginary = sigma * torch.randn(image.shape, generator=generator)
    return torch.hypot(real, imaginary)
