"""Brain mask and tissue probabilities by the anatomy network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_gan.geometry import box_grid, resample

if TYPE_CHECKING:
    from torch import nn

#: classes of the network, as in its recipe
CSF, CORTEX, DEEP_GREY, WHITE, CEREBELLAR_GREY, CEREBELLAR_WHITE, BRAINSTEM = range(1, 8)


#: voxel size at which the network works, mm
SPACING = 1.5


def tissue_probabilities(
    network: nn.Module, image: np.ndarray, affine: np.ndarray, precision: str
) -> np.ndarray:
    """Probability of each class.

    Parameters
    ----------
    network : module
        The anatomy network, batch normalisation folded.
    image : (I, J, K) array
        T1w on an axis-aligned RAS+ grid, white matter near 1.
    affine : (4, 4) array
        Voxel to world (mm).
    precision : {'auto', 'bf16', 'fp32'}

    Returns
    -------
    (8, I, J, K) float32 array
        On the grid of `image`.
    """
    import torch

    from bids_gan.gan.inference import run_network

    shape, grid = box_grid(np.ones(image.shape, bool), affine, SPACING, 0.0)
    small = resample(image, affine, shape, grid)
    likely = run_network(network, small[None], precision).softmax(dim=0)
    # both grids are aligned with the axes: interpolation is a product of three 1-D ones
    zoom = np.diag(affine)[:3] / SPACING
    start = (affine[:3, 3] - grid[:3, 3]) / SPACING
    axes = [
        torch.as_tensor(2 * (a + b * np.arange(n)) / (m - 1) - 1, dtype=torch.float32)
        for a, b, n, m in zip(start, zoom, image.shape, shape, strict=True)
    ]
    where = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flip(-1)
    return torch.nn.functional.grid_sample(
        likely[None], where[None], padding_mode="border", align_corners=True
    )[0].numpy()


def brain_mask(probabilities: np.ndarray) -> np.ndarray:
    """Brain mask (I, J, K) from class probabilities: one piece, no holes, thin layer of fluid.

    The fluid over the cortex is kept within 2 voxels of tissue only, where a skull-stripped image
    and a whole head agree.
    """
    tissue = largest_component(1 - probabilities[0] - probabilities[CSF] > 0.5)
    near = ndimage.binary_dilation(tissue, iterations=2)
    fluid = near & (probabilities[0] < 0.5)
    return ndimage.binary_fill_holes(ndimage.binary_closing(tissue | fluid, iterations=2))


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Largest face-connected piece after one opening, so that a thread of voxels does not join."""
    opened = ndimage.binary_opening(mask)
    labels, count = ndimage.label(opened)
    if count == 0:
        return mask
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_dilation(largest) & mask
