"""From scores of the anatomy network to structures and brain mask."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from bids_gan.anatomy.segment import CSF, FLUID_MM, brain_of, find_structures, most_likely

WHITE = 4


def test_most_likely_is_the_first_of_the_greatest():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (8, 5, 6, 7)).astype(np.float32)  # with many ties
    np.testing.assert_array_equal(most_likely(scores), scores.argmax(0))
    assert most_likely(scores).dtype == np.uint8


def test_only_the_box_is_looked_at():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 8, 1).requires_grad_(False)
    image = np.random.default_rng(0).random((6, 7, 8)).astype(np.float32)
    box = (slice(1, 4), slice(2, 7), slice(0, 5))
    everywhere = find_structures(network, image, "fp32")
    found = find_structures(network, image, "fp32", box)
    np.testing.assert_array_equal(found[box], everywhere[box])
    found[box] = 0
    assert not found.any()


def ball(radius: float) -> np.ndarray:
    """Distance of a 41-voxel cube's voxels to its middle below a radius."""
    places = np.indices((41, 41, 41)) - 20
    return np.sqrt((places**2).sum(0)) <= radius


def test_brain_is_tissue_and_a_thin_layer_of_fluid_without_holes():
    structures = np.zeros((41, 41, 41), np.uint8)
    structures[ball(18)] = CSF
    structures[ball(10)] = WHITE
    structures[20, 20, 20] = 0  # a hole
    brain = brain_of(structures)
    assert brain[20, 20, 20]
    reach = ndimage.distance_transform_edt(~ball(10))[brain].max()
    assert FLUID_MM - 1 <= reach <= FLUID_MM


def test_brain_at_the_border_of_the_image_is_whole():
    structures = np.full((12, 12, 12), WHITE, np.uint8)
    assert brain_of(structures).sum() > 0.95 * structures.size


def test_smaller_pieces_are_no_brain():
    structures = np.zeros((41, 41, 41), np.uint8)
    structures[ball(10)] = WHITE
    structures[:5, :5, :5] = WHITE
    assert not brain_of(structures)[:6, :6, :6].any()


def test_nothing_is_found_in_nothing():
    assert not brain_of(np.zeros((5, 5, 5), np.uint8)).any()
