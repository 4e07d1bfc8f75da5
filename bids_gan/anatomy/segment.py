"""Brain mask and structures by the anatomy network, tissue shares by a mixture of Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_gan.geometry import box_around

if TYPE_CHECKING:
    from torch import nn

#: how far from tissue fluid is still part of the brain mask, mm
FLUID_MM = 4
#: labels of the tissue map
CSF, GREY, WHITE = 1, 2, 3
#: labels of the structures, as the anatomy network gives them
STRUCTURES = (
    "outside", "csf", "cortical grey", "deep grey", "white", "cerebellar grey",
    "cerebellar white", "brainstem",
)  # fmt: skip
CORTICAL_GREY, CEREBRAL_WHITE = 2, 4
CEREBELLUM = (5, 6)
#: with the brainstem, which is mostly white matter
ALL_WHITE = (4, 6, 7)
#: a structure of fewer voxels was not found
FEWEST_VOXELS = 1000


def find_structures(
    network: nn.Module, image: np.ndarray, precision: str = "auto", box: tuple[slice, ...] = ()
) -> np.ndarray:
    """Structure of every voxel of a head, whole or skull-stripped.

    Parameters
    ----------
    network : module
        The anatomy network.
    image : (I, J, K) array
        T1w on an axis-aligned RAS+ 1 mm grid, white matter near 1.
    precision : {'auto', 'bf16', 'fp32'}
    box : tuple of slice
        Where to look, everywhere when omitted; elsewhere is ``outside``.

    Returns
    -------
    (I, J, K) uint8 array
        Index in :data:`STRUCTURES`.
    """
    from bids_gan.gan.inference import run_network

    structures = np.zeros(image.shape, np.uint8)
    structures[box] = most_likely(run_network(network, image[box][None], precision).numpy())
    return structures


def most_likely(scores: np.ndarray) -> np.ndarray:
    """Index (I, J, K) uint8 of the greatest of (C, I, J, K) scores, the first one of equals.

    One class at a time: ``argmax`` along the first axis jumps through memory.
    """
    best = scores[0].copy()
    winner = np.zeros(best.shape, np.uint8)
    for index in range(1, len(scores)):
        winner[scores[index] > best] = index
        np.maximum(best, scores[index], out=best)
    return winner


def brain_of(structures: np.ndarray) -> np.ndarray:
    """Brain mask of a map of structures: one piece, no holes, a thin layer of fluid.

    Parameters
    ----------
    structures : (I, J, K) array
        Index in :data:`STRUCTURES`, 1 mm voxels.

    Returns
    -------
    (I, J, K) bool array
    """
    tissue = structures > CSF
    if not tissue.any():
        return tissue
    box = box_around(tissue, FLUID_MM + 1)
    core = largest_component(tissue[box])
    near = ndimage.binary_dilation(core, iterations=FLUID_MM)
    mask = largest_component(core | (near & (structures[box] == CSF)))
    brain = np.zeros(structures.shape, bool)
    brain[box] = ndimage.binary_fill_holes(mask)
    return brain


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Largest face-connected piece after one opening, so that a thread of voxels does not join."""
    opened = ndimage.binary_opening(mask)
    labels, count = ndimage.label(opened)
    if count == 0:
        return mask
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.binary_dilation(largest) & mask


def tissue_posteriors(
    t1w: np.ndarray, mask: np.ndarray, structures: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Probability of CSF, grey and white matter from intensity alone.

    Parameters
    ----------
    t1w : (I, J, K) array
        Without bias field.
    mask : (I, J, K) bool array
        Brain.
    structures : (I, J, K) array
        Index in :data:`STRUCTURES`; the mixture starts from the mean of each tissue in it.
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
    start = [smooth[mask & (structures == k)].mean() for k in (CSF, CORTICAL_GREY, CEREBRAL_WHITE)]
    mixture = GaussianMixture(3, means_init=np.reshape(start, (3, 1)), random_state=seed).fit(
        drawn
    )
    order = np.argsort(mixture.means_[:, 0])
    csf, _, white = mixture.means_[order, 0]
    posterior = mixture.predict_proba(values.clip(csf, white)[:, None])[:, order]
    result = np.zeros((3, *t1w.shape), np.float32)
    result[:, mask] = posterior.T
    return result
