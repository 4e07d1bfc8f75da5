"""Brain mask by the brain-mask network, tissues by a mixture of Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_gan.geometry import box_grid, resample

if TYPE_CHECKING:
    from torch import nn

#: voxel size at which the network works, mm
MASK_SPACING = 2.0
#: how far from tissue fluid is still part of the mask, in voxels of the network
FLUID_VOXELS = 2
#: labels of the tissue map
CSF, GREY, WHITE = 1, 2, 3


def brain_mask(
    network: nn.Module, image: np.ndarray, affine: np.ndarray, precision: str = "auto"
) -> np.ndarray:
    """Brain mask: one piece, no holes, a thin layer of fluid.

    Parameters
    ----------
    network : module
        The brain-mask network; its classes are outside, brain, fluid over the brain.
    image : (I, J, K) array
        T1w on an axis-aligned RAS+ grid, white matter near 1, whole head or skull-stripped.
    affine : (4, 4) array
        Voxel to world (mm).
    precision : {'auto', 'bf16', 'fp32'}

    Returns
    -------
    (I, J, K) bool array
    """
    from bids_gan.gan.inference import run_network

    shape, grid = box_grid(np.ones(image.shape, bool), affine, MASK_SPACING, 0.0)
    small = resample(image, affine, shape, grid)
    outside, brain, _ = run_network(network, small[None], precision).softmax(dim=0).numpy()
    core = largest_component(brain > 0.5)
    near = ndimage.binary_dilation(core, iterations=FLUID_VOXELS)
    # between the classes brain and outside the border is where they are equally likely
    soft = np.where(near, 1 - outside, 0).astype(np.float32)
    fine = resample(soft, grid, image.shape, affine) > 0.5
    return ndimage.binary_fill_holes(largest_component(fine))


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Largest face-connected piece after one opening, so that a thread of voxels does not join."""
    opened = ndimage.binary_opening(mask)
    labels, count = ndimage.label(opened)
    if count == 0:
        return mask
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_dilation(largest) & mask


def tissue_posteriors(t1w: np.ndarray, mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probability of CSF, grey and white matter from intensity alone.

    Parameters
    ----------
    t1w : (I, J, K) array
        Without bias field.
    mask : (I, J, K) bool array
        Brain.
    seed : int
        Of the choice of voxels to which the mixture is fitted.

    Returns
    -------
    (3, I, J, K) float32 array
        Zero outside the mask.

    Notes
    -----
    Three Gaussians, fitted by expectation maximisation to 50 000 voxels; an intensity beyond the
    mean of an outer class belongs to it, however wide its neighbour is.
    """
    from sklearn.mixture import GaussianMixture

    smooth = ndimage.gaussian_filter(t1w, 0.5)
    values = smooth[mask]
    drawn = np.random.default_rng(seed).choice(values, min(50_000, values.size), replace=False)
    low, high = np.percentile(drawn, [0.5, 99.5])
    drawn = drawn[(drawn > low) & (drawn < high)][:, None]
    start = np.percentile(drawn, [8, 40, 80])[:, None]
    mixture = GaussianMixture(3, means_init=start, random_state=seed).fit(drawn)
    order = np.argsort(mixture.means_[:, 0])
    csf, _, white = mixture.means_[order, 0]
    posterior = mixture.predict_proba(values.clip(csf, white)[:, None])[:, order]
    result = np.zeros((3, *t1w.shape), np.float32)
    result[:, mask] = posterior.T
    return result
