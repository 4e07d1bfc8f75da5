"""Field and head motion from two images of opposite phase encoding."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from phantom import brain_mask, grid, head, world_points
from scipy import ndimage

from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.distortion.correct_pair import correct_by_pair
from bids_gan.distortion.forward import distort
from bids_gan.distortion.opposite import (
    PairLevel,
    PairSettings,
    Recorded,
    estimate_from_pair,
)
from bids_gan.distortion.types import FieldPrior
from bids_gan.distortion.units import mm_per_hz
from bids_gan.geometry import voxel_sizes

QUICK = PairSettings(
    levels=(PairLevel(6.0, 36.0, 4.0, 40), PairLevel(4.0, 20.0, 2.0, 40, expects=True))
)
READOUT = 0.05
STILL = np.zeros(6)


def bump(points):
    """Displacement in mm, up to 7, of world points."""
    places = (([0.0, 20.0, -10.0], 20.0, 7.0), ([-20.0, -15.0, 5.0], 24.0, -4.0))
    return sum(
        peak * np.exp(-(((points - place) / width) ** 2).sum(-1) / 2)
        for place, width, peak in places
    )


def pair(
    pe="j", orientation="RAS", zooms=(3.0, 3.5, 4.0), readouts=(READOUT, READOUT), move=STILL
):
    """Recorded images, the true field in Hz on their grid, and the true motion."""
    shape, affine = grid(orientation, (3.0, 3.5, 4.0))
    points = world_points(shape, affine)
    motion = rigid_matrix(np.asarray(move), np.zeros(3))
    there = nib.affines.apply_affine(np.linalg.inv(motion), points)
    other = pe[0] if pe.endswith("-") else f"{pe}-"
    scale = mm_per_hz(affine, pe, readouts[0])
    images = [
        Recorded(
            nib.Nifti1Image(distort(head(where), bump(where) / scale, way, seconds), affine),
            way,
            seconds,
        )
        for where, way, seconds in ((points, pe, readouts[0]), (there, other, readouts[1]))
    ]
    return *images, bump(points) / scale, motion


def errors_mm(found, truth, image):
    inside = brain_mask(world_points(truth.shape, image.image.affine))
    scale = mm_per_hz(image.image.affine, image.pe_direction, image.readout_time)
    return np.abs(found - truth)[inside] * scale, np.abs(truth)[inside] * scale


@pytest.mark.parametrize("orientation", ["RAS", "LIA", "oblique"])
@pytest.mark.parametrize("pe", ["i", "j-", "k"])
def test_true_field_is_found_in_any_direction_and_orientation(pe, orientation):
    first, second, truth, _ = pair(pe, orientation)
    found = estimate_from_pair(first, second, QUICK)
    error, size = errors_mm(found.hz, truth, first)
    assert np.percentile(size, 95) > 3
    assert np.median(error) < 0.3
    assert np.percentile(error, 95) < 0.8
    assert found.disagreement < 0.1 * found.disagreement_before


def test_second_image_may_have_another_readout_time_grid_and_gain():
    first, second, truth, _ = pair(readouts=(READOUT, 0.6 * READOUT))
    turned = nib.as_closest_canonical(second.image).as_reoriented(
        np.array([[0, -1], [2, 1], [1, 1]])  # other axes, one of them backwards
    )
    brighter = nib.Nifti1Image(1.3 * turned.get_fdata(), turned.affine)
    second = replace(second, image=brighter, pe_direction="k-")
    error, _ = errors_mm(estimate_from_pair(first, second, QUICK).hz, truth, first)
    assert np.median(error) < 0.3


def blurred(one, mm):
    """The image so smooth that it tells next to nothing of a field, with noise."""
    data = np.asarray(one.image.dataobj)
    smooth = ndimage.gaussian_filter(data, mm / voxel_sizes(one.image.affine))
    noise = np.random.default_rng(ord(one.pe_direction[-1])).standard_normal(data.shape)
    noisy = smooth + 0.3 * data.max() * noise
    return replace(one, image=nib.Nifti1Image(noisy.astype(np.float32), one.image.affine))


@pytest.mark.parametrize("orientation", ["RAS", "LIA"])
@pytest.mark.parametrize("pe", ["i", "j-", "k"])
def test_what_is_expected_counts_where_images_tell_little(pe, orientation):
    first, second, truth, _ = pair(pe, orientation)
    affine = first.image.affine
    inside = brain_mask(world_points(truth.shape, affine))
    scale = mm_per_hz(affine, pe, READOUT) * (-1 if pe.endswith("-") else 1)
    right = FieldPrior(truth * scale, np.where(inside, 0.1, np.inf), affine)
    wrong = FieldPrior(-truth * scale, np.where(inside, 1.0, np.inf), affine)
    poor = [blurred(one, 12.0) for one in (first, second)]
    alone, helped = (
        errors_mm(estimate_from_pair(*poor, QUICK, prior).hz, truth, first)[0].mean()
        for prior in (None, right)
    )
    assert helped < 0.7 * alone
    # where images are sharp and without noise they are believed, whatever was expected
    misled = errors_mm(estimate_from_pair(first, second, QUICK, wrong).hz, truth, first)[0]
    assert np.median(misled) < 0.3


def test_nothing_is_expected_where_the_deviation_is_infinite():
    first, second, truth, _ = pair()
    nothing = FieldPrior(9.0 + 0 * truth, np.full(truth.shape, np.inf), first.image.affine)
    found = [estimate_from_pair(first, second, QUICK, prior).hz for prior in (None, nothing)]
    np.testing.assert_array_equal(*found)


def test_a_head_that_moved_in_between_is_moved_back():
    move = np.r_[np.deg2rad([2.0, -1.0, 1.5]), 2.0, 0.0, -1.5]  # none along j
    first, second, truth, motion = pair(move=move)
    found = estimate_from_pair(first, second, QUICK)
    error, _ = errors_mm(found.hz, truth, first)
    left = rigid_parameters(found.motion @ np.linalg.inv(motion), np.zeros(3))
    assert np.rad2deg(np.abs(left[:3])).max() < 0.4
    assert np.abs(left[[3, 5]]).max() < 0.4
    assert np.percentile(error, 95) < 1.0


def test_correction_is_kept_and_brings_the_images_together():
    first, second, truth, _ = pair(move=np.r_[0, 0, np.deg2rad(2.0), 3.0, 0, 0])
    mask = brain_mask(world_points(truth.shape, first.image.affine))
    found = correct_by_pair(first, second, mask, settings=QUICK)
    assert found.quality["accepted"] is True
    assert found.quality["pair_rotation_deg"] == pytest.approx(2, abs=0.5)
    assert found.quality["pair_translation_mm"] == pytest.approx(3, abs=0.7)
    clean = head(world_points(truth.shape, first.image.affine))
    before, after = (
        np.abs(image.get_fdata() - clean)[mask].mean() for image in (first.image, found.corrected)
    )
    assert after < 0.35 * before


def test_images_that_no_field_brings_together_are_not_corrected():
    first, second, truth, _ = pair()
    noise = np.random.default_rng(0).uniform(size=truth.shape).astype(np.float32)
    second = replace(second, image=nib.Nifti1Image(noise, second.image.affine))
    mask = brain_mask(world_points(truth.shape, first.image.affine))
    folding = replace(QUICK, bending=0.0, fold=0.0)
    quality = correct_by_pair(first, second, mask, settings=folding).quality
    assert quality["accepted"] is False
    assert any(
        "compressed" in reason or "differ as much" in reason for reason in quality["reasons"]
    )


@pytest.mark.parametrize(
    ("direction", "message"), [("j", "same direction"), ("i-", "different axes")]
)
def test_phase_encoding_that_is_not_opposite_is_refused(direction, message):
    first, second, *_ = pair()
    with pytest.raises(ValueError, match=message):
        estimate_from_pair(first, replace(second, pe_direction=direction), QUICK)
