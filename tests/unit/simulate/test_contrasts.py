"""Aligned contrasts: one person's tissues in all of them, lesions in the white matter."""

import numpy as np
import pytest
import torch
from head_map import FLUID, GREY, WHITE, nested_tissues

from bids_gan.gan.losses.physical import epi_difference
from bids_gan.simulate.composition import LESION
from bids_gan.simulate.contrasts import ContrastPatches, WholeBrains, random_lesion
from bids_gan.simulate.physics import protocol_contrasts

KINDS = ("T1w", "T2w", "PDw", "FLAIR")


def test_contrasts_are_those_of_their_names():
    t1w, t2w, pdw, flair = protocol_contrasts(np.random.default_rng(0), KINDS)
    assert t1w[FLUID] < t1w[GREY] < t1w[WHITE] == pytest.approx(1)
    assert t2w[FLUID] > t2w[GREY] > t2w[WHITE] == pytest.approx(1)
    assert pdw[GREY] > pdw[WHITE]
    assert flair[FLUID] < 0.3 < flair[WHITE]
    assert flair[LESION] > 1.2


def test_protocol_is_fixed_and_people_differ():
    first, again = (protocol_contrasts(np.random.default_rng(3), KINDS) for _ in range(2))
    assert np.array_equal(first, again)
    people = [protocol_contrasts(np.random.default_rng(seed), KINDS) for seed in range(40)]
    grey = np.array([table[:, GREY] for table in people])
    assert (grey.std(0) > 0.01).all()
    # without differences between people nothing is left to draw
    still = [protocol_contrasts(np.random.default_rng(seed), KINDS, 0.0) for seed in range(2)]
    assert np.array_equal(*still)


def test_patches_are_aligned_and_zero_outside_the_mask():
    batch = ContrastPatches([nested_tissues()], 16, 2, KINDS).batch(0)
    assert batch["contrasts"].shape == (2, 4, 16, 16, 16)
    assert batch["contrasts"].dtype == torch.float32
    assert not (batch["contrasts"] * (1 - batch["mask"])).any()
    assert "lesion" not in batch
    again = ContrastPatches([nested_tissues()], 16, 2, KINDS).batch(0)
    assert all(torch.equal(batch[key], again[key]) for key in batch)


def test_lesion_is_bright_in_flair_and_not_in_the_labels():
    patches = ContrastPatches([nested_tissues()], 24, 1, ["FLAIR"], lesions=1.0)
    labels = torch.as_tensor(nested_tissues())[8:32, 8:32, 8:32].long()
    found = patches.render(labels, np.random.default_rng(1))
    lesion = found["lesion"][0] > 0
    white = (labels == WHITE) & ~lesion
    image = found["contrasts"][0]
    assert lesion.sum() > 20
    assert image[lesion].mean() > image[white].mean() + 0.2
    assert torch.equal(found["labels"], patches.classes[labels])


def test_share_of_people_with_lesions_is_the_one_asked_for():
    patches = ContrastPatches([nested_tissues()], 16, 40, ["FLAIR"], lesions=0.3)
    lesions = patches.batch(0)["lesion"].flatten(1).any(1)
    assert 0.1 < lesions.float().mean() < 0.5


def test_echo_planar_readout_is_the_last_contrast_displaced_back_to_front():
    patches = ContrastPatches(
        [nested_tissues()], 24, 2, ["T1w", "b0"], epi_shift_mm=6.0, spacing=1.5
    )
    batch = patches.batch(0)
    mask, shift, acquired = batch["mask"], batch["shift"], batch["acquired"]
    largest = shift.abs().amax((1, 2, 3, 4))
    assert (largest <= 4.001).all()
    assert (largest >= 2).all()
    t1w, b0 = batch["contrasts"].split(1, dim=1)
    explained = epi_difference(b0, acquired, mask, shift)
    for other in (
        epi_difference(b0, acquired, mask, 0 * shift),
        epi_difference(b0, acquired, mask, -shift),
        epi_difference(t1w, acquired, mask, shift),
    ):
        assert other > 3 * explained
    assert "acquired" not in ContrastPatches([nested_tissues()], 16, 1, KINDS).batch(0)


def test_lesions_are_within_white_matter_and_of_the_size_asked_for():
    labels = torch.as_tensor(nested_tissues()).long()
    for seed in range(5):
        lesion = random_lesion(labels, np.random.default_rng(seed))
        assert (labels[lesion] == WHITE).all()
        extent = lesion.nonzero()
        assert (extent.amax(0) - extent.amin(0)).max() <= 2 * 6 * 1.9 + 1
    assert not random_lesion(torch.full((8, 8, 8), GREY), np.random.default_rng(0)).any()


def test_so_many_people_there_are_and_nobody_twice_in_a_batch():
    brains = WholeBrains([nested_tissues()], 16, 3, ["T1w"], seed=4, people=4)
    batches = [brains.batch(step)["contrasts"] for step in range(12)]
    faces = [{float(image.sum()) for image in batch} for batch in batches]
    assert all(len(people) == 3 for people in faces)
    assert len(set.union(*faces)) == 4
    anew = WholeBrains([nested_tissues()], 16, 3, ["T1w"], seed=4, people=4)
    assert torch.equal(anew.batch(11)["contrasts"], batches[11])


def test_kept_people_are_the_same_but_for_rounding():
    options = {"seed": 4, "people": 2}
    kept = WholeBrains([nested_tissues()], 16, 2, ["T1w"], **options)
    first, again = kept.batch(0), kept.batch(0)
    fresh = kept._patch(np.random.default_rng([4, 0, 1]))
    at = int(np.random.default_rng([4, 0]).choice(2, 2, replace=False).argmin())
    assert all(torch.equal(first[key], again[key]) for key in first)
    for key, value in fresh.items():
        assert first[key].dtype == value.dtype
        torch.testing.assert_close(first[key][at], value, rtol=1e-3, atol=1e-3)


def test_brain_lies_in_the_middle_though_its_stem_reaches_far_down():
    head = nested_tissues()
    stem = np.zeros((40, 40, 80), head.dtype)
    stem[..., 40:] = head
    stem[18:22, 18:22, :40] = WHITE
    mask = WholeBrains([stem], 40, 1, ["T1w"], seed=2).batch(0)["mask"][0, 0]
    places = mask.nonzero()[:, 2]
    assert float(places.float().mean()) == pytest.approx(19.5, abs=5)
