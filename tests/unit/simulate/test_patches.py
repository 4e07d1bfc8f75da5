"""Patches from label maps: the target belongs to the input, everything follows the seed."""

import numpy as np
import pytest
import torch
from head_map import head_map

from bids_gan.simulate.labels import OUTER_FLUID
from bids_gan.simulate.patches import LabelPatches, SimulatedPairs


def head():
    """Box of white matter in fluid in bone."""
    labels = np.zeros((60, 60, 60), np.int16)
    labels[5:55, 5:55, 5:55] = 515
    labels[10:50, 10:50, 10:50] = OUTER_FLUID
    labels[18:42, 18:42, 18:42] = 2
    return labels


def table():
    values = np.zeros(1024)
    values[[2, OUTER_FLUID, 515]] = 1.0, 0.2, 5.0
    return values


def pairs(patch=32, **options):
    return SimulatedPairs([head()], patch, 2, table(), **options)


def test_batches_depend_on_the_step_alone():
    first, again, other = pairs().batch(3), pairs().batch(3), pairs().batch(4)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["input"], other["input"])


def test_target_follows_the_labels_of_the_input():
    patches = pairs(blur_mm=0.3)
    rng = np.random.default_rng(0)
    labels = torch.as_tensor(head())[14:46, 14:46, 14:46].long()
    pair = patches.render(labels, rng)
    assert float(pair["target"][0, 16, 16, 16]) == pytest.approx(1.0, abs=1e-3)
    assert pair["input"][0, 16, 16, 16] > 0.3
    assert torch.equal(pair["labels"] == 4, labels == 2)


def test_brain_region_holds_at_most_four_millimetres_of_fluid():
    patches = pairs(44, region="brain")
    labels = torch.as_tensor(head())[8:52, 8:52, 8:52].long()
    for seed in range(8):
        mask = patches.render(labels, np.random.default_rng(seed))["mask"][0]
        assert mask[10:34, 10:34, 10:34].min() == 1
        # white matter begins at 10, so 4 mm of fluid end at 6
        assert mask[:6].max() == 0
    head_mask = pairs(44, region="head").render(labels, np.random.default_rng(0))["mask"]
    assert head_mask.min() == 1


def test_classes_are_those_of_the_labels():
    batch = LabelPatches([head()], 32, 2).batch(0)
    assert batch["input"].shape == (2, 1, 32, 32, 32)
    assert set(batch["labels"].unique().tolist()) <= {0, 1, 4}
    assert torch.isfinite(batch["input"]).all()


def test_position_tells_where_a_structure_lies():
    patches = SimulatedPairs([head_map()], 32, 4, table(), position=True)
    batches = [patches.batch(step) for step in range(4)]
    inputs, labels = (torch.cat([b[key] for b in batches]) for key in ("input", "labels"))
    assert inputs.shape[1] == 4
    brainstem = (labels == 7) & (inputs[:, 3] != 0)  # in MNI at (0, -27, -32) mm
    where = [float(inputs[:, axis][brainstem].mean()) for axis in (2, 3)]
    assert where == pytest.approx([-0.27, -0.32], abs=0.1)


def test_position_counts_where_the_image_does():
    batch = SimulatedPairs([head_map()], 32, 2, table(), position=True).batch(0)
    outside = batch["mask"].expand_as(batch["input"]) == 0
    assert outside.any()
    assert (batch["input"][outside] == 0).all()
