"""Rigid alignment of diffusion images with the T1w, distorted or not."""

import nibabel as nib
import numpy as np
import pytest
from phantom import brain_mask, grid, soft_brain, texture, world_points

from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.distortion import alignment
from bids_gan.distortion import coregister as module
from bids_gan.distortion.alignment import Alignment, align_distorted, head_move
from bids_gan.distortion.coregister import Brain, Coregistration, coregister, mask_overlap
from bids_gan.distortion.correct import RunImages, align
from bids_gan.distortion.types import FieldPrior, Guides, Measured
from bids_gan.geometry import resample

POSE = np.r_[np.deg2rad([2.0, -3.0, 1.5]), 2.0, -1.0, 3.0]
LIMITS = (0.4, 0.6)  # of the texture: fluid, grey, white


def t1w(points):
    return soft_brain(points) * (0.3 + texture(points))


def b0(points):
    return soft_brain(points) * (1.5 - texture(points))


def fa(points):
    return soft_brain(points) * texture(points, seed=1)


def image(data, affine):
    return nib.Nifti1Image(np.asarray(data, np.float32), affine)


def test_moved_head_is_found_from_the_headers():
    shape, affine = grid("RAS", (2.0, 2.0, 2.0))
    there = world_points(shape, affine)
    move = rigid_matrix(np.r_[np.deg2rad([1.5, -1.0, 2.0]), 1.5, -1.0, 2.0], np.zeros(3))
    dwi_shape, dwi_affine = grid("LIA", (3.0, 3.0, 3.0))
    here = nib.affines.apply_affine(move, world_points(dwi_shape, dwi_affine))
    tissue = (1 + np.digitize(texture(there), LIMITS)) * brain_mask(there)
    images = RunImages(
        t1w=image(t1w(there), affine),
        brain_mask=image(brain_mask(there), affine),
        tissue=image(tissue, affine),
        synth_fa=image(fa(there), affine),
        b0=image(b0(here), dwi_affine),
        b0_mask=brain_mask(here),
        fa=fa(here),
    )
    found = align(images)
    inside = there[brain_mask(there)]

    def distance_mm(matrix):
        apart = nib.affines.apply_affine(matrix, inside) - nib.affines.apply_affine(move, inside)
        return np.linalg.norm(apart, axis=1).mean()

    # the prior on the move holds back a part of the rotation, more so in a smooth phantom
    assert distance_mm(found) < 0.4 * distance_mm(np.eye(4))


def test_registration_that_takes_the_brain_out_of_the_mask_is_not_believed(monkeypatch):
    shape, affine = grid("RAS", (3.0, 3.0, 3.0))
    points = world_points(shape, affine)
    brain = Brain(t1w(points), brain_mask(points), affine)
    for mm, source in ((1.0, "registration"), (20.0, "header")):
        wrong = rigid_matrix(np.r_[0, 0, 0, 0, 0, mm], np.zeros(3))
        monkeypatch.setattr(module, "mutual_information_rigid", lambda *_, w=wrong, **__: w)
        found = coregister(brain, brain)
        assert found.source == source
        assert found.moved_mm < 2
        assert found.overlap == mask_overlap(brain, brain.coarse(2.0), found.dwi_to_t1w)


def shifted(mm):
    return rigid_matrix(np.r_[0, 0, 0, mm, 0, 0], np.zeros(3))


@pytest.mark.parametrize(
    ("sigmas", "chosen"),
    [
        ({0.0: 1.0, 2.0: 0.85}, 0.0),  # the registration is not clearly surer than the headers
        ({0.0: 1.0, 2.0: 0.7}, 2.0),
        ({0.0: 1.0, 2.0: 1.2}, 0.0),
    ],
)
def test_headers_are_kept_unless_a_registration_is_clearly_surer(sigmas, chosen, monkeypatch):
    """The network sees a move of 1 mm from the headers, one of 0.5 mm from the registration."""
    shape, affine = grid("RAS", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    mask, image_ = brain_mask(points), b0(points).astype(np.float32)
    measured = Measured(image_, image_, affine, "j-", 0.05)
    guides = Guides(image_, image_, mask, affine)
    found = Coregistration(shifted(2.0), "header", "registration", 2.0, 0.0, 0.9, 0.9, np.zeros(3))
    moves = {0.0: 1.0, 2.0: 0.5, 1.0: 0.2, 2.5: 0.2}
    uneven = np.random.default_rng(0).normal(0, 1, shape)

    def look(_, __, pull, *___):
        x = round(pull[0, 3], 3)
        apart = np.zeros((*shape, 3))
        apart[..., 0] = moves[x]
        sigma = np.full(shape, sigmas.get(x, 0.5))
        return FieldPrior(x * uneven + moves[x], sigma, affine, apart)

    def mask_under(x):
        moved = resample(
            mask.astype(np.float32), affine, shape, affine, target_to_source=shifted(x)
        )
        return moved > 0.5

    monkeypatch.setattr(alignment, "coregister", lambda *_: found)
    monkeypatch.setattr(alignment, "predict", look)
    anatomy = Brain(image_, mask, affine)
    best = align_distorted(measured, mask, guides, anatomy, "network")
    assert best.start[0, 3] == chosen
    assert best.coregistration.dwi_to_t1w[0, 3] == pytest.approx(chosen + moves[chosen])
    assert best.coregistration.source == ("registration" if chosen else "header")
    assert best.coregistration.moved_mm == pytest.approx(chosen + moves[chosen])
    # it looks again, but only the first look tells of a constant
    assert best.error_mm == pytest.approx(0.5)
    inside = best.expected.mm[best.inside]
    again = (chosen + moves[chosen]) * uneven[best.inside]
    assert np.allclose(inside - inside.mean(), again - again.mean())
    first = chosen * uneven + moves[chosen]
    assert inside.mean() == pytest.approx(first[mask_under(chosen)].mean(), abs=1e-4)
    # what the network still sees is noted for the gate
    still = {"left_degrees": 0, "left_mm": 0.2}
    assert best.left == {k: pytest.approx(v, abs=1e-4) for k, v in still.items()}
    assert best.bend_mm == pytest.approx(0, abs=1e-4)


def test_translation_along_the_phase_encoding_is_left_out_where_the_brain_is():
    centre, direction = np.array([10.0, -20.0, 30.0]), np.array([0.0, 0.8, 0.6])
    matrix = rigid_matrix(POSE, centre)
    found = Coregistration(matrix, "header", "registration", 0.0, 0.0, 0.9, 0.9, centre)
    left = found.without_shift(direction).dwi_to_t1w
    shift = nib.affines.apply_affine(left, centre) - centre
    assert shift @ direction == pytest.approx(0)
    across = POSE[3:] - (POSE[3:] @ direction) * direction
    assert np.allclose(shift, across)
    assert np.allclose(left[:3, :3], matrix[:3, :3])


@pytest.mark.parametrize("pe", ["i", "j-"])
def test_a_registration_starts_without_its_shift_along_the_phase_encoding(pe, monkeypatch):
    shape, affine = grid("RAS", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    mask, image_ = brain_mask(points), b0(points).astype(np.float32)
    found = Coregistration(shifted(2.0), "header", "registration", 2.0, 0.0, 0.9, 0.9, np.zeros(3))
    starts = []

    def look(_, __, pull, *___):
        starts.append(pull[0, 3])
        return FieldPrior(np.zeros(shape), np.ones(shape), affine, np.zeros((*shape, 3)))

    monkeypatch.setattr(alignment, "coregister", lambda *_: found)
    monkeypatch.setattr(alignment, "predict", look)
    measured = Measured(image_, image_, affine, pe, 0.05)
    guides = Guides(image_, image_, mask, affine)
    align_distorted(measured, mask, guides, Brain(image_, mask, affine), "network")
    first = [0.0, 0.0] if pe == "i" else [2.0, 0.0]
    assert starts[:2] == first
    assert set(starts[2:]) <= set(first)  # it looks again from the better one


def test_brains_apart_in_their_headers_are_not_left_there(monkeypatch):
    shape, affine = grid("RAS", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    mask, image_ = brain_mask(points), b0(points).astype(np.float32)
    far = Coregistration(
        shifted(90.0), "centre of mass", "registration", 90.0, 0.0, 0.1, 0.9, np.zeros(3)
    )
    pulls = []

    def look(_, __, pull, *___):
        pulls.append(pull[0, 3])
        return FieldPrior(np.zeros(shape), np.ones(shape), affine, np.zeros((*shape, 3)))

    monkeypatch.setattr(alignment, "coregister", lambda *_: far)
    monkeypatch.setattr(alignment, "predict", look)
    guides = Guides(image_, image_, mask, shifted(90.0) @ affine)
    anatomy = Brain(image_, mask, guides.affine)
    measured = Measured(image_, image_, affine, "j", 0.05)
    found = align_distorted(measured, mask, guides, anatomy, "network")
    assert found.coregistration.dwi_to_t1w[0, 3] == 90
    assert 0.0 not in pulls


def expected(affine, shape, apart):
    zero = np.zeros(shape, np.float32)
    return FieldPrior(zero, zero + 1, affine, apart.reshape(*shape, 3).astype(np.float32))


@pytest.mark.parametrize("orientation", ["RAS", "LIA"])
def test_move_is_the_rigid_part_of_a_misalignment(orientation):
    shape, affine = grid(orientation, (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    move = rigid_matrix(POSE, np.zeros(3))
    apart = nib.affines.apply_affine(move, points) - points
    inside = brain_mask(points)
    apart += np.random.default_rng(0).normal(0, 0.5, apart.shape)
    apart[~inside] = 30.0  # what lies outside has no say
    found = head_move(expected(affine, shape, apart), inside)
    error = rigid_parameters(found @ np.linalg.inv(move), np.zeros(3))
    assert np.abs(np.rad2deg(error[:3])).max() < 0.2
    assert np.abs(error[3:]).max() < 0.2


@pytest.mark.parametrize("bend", [0.0, 1.5])
def test_what_a_move_does_not_explain_is_a_bend(bend):
    shape, affine = grid("LIA", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    apart = nib.affines.apply_affine(rigid_matrix(POSE, np.zeros(3)), points) - points
    inside = brain_mask(points)
    uneven = np.random.default_rng(0).choice([-1.0, 1.0], apart.shape[:-1])
    apart[..., 1] += bend * uneven
    found = Coregistration(np.eye(4), "header", "header", 0.0, 0.0, 0.9, 0.9, np.zeros(3))
    look = Alignment(found, np.eye(4), expected(affine, shape, apart), inside)
    assert look.bend_mm == pytest.approx(bend, abs=0.05)
    assert look.left["left_degrees"] == pytest.approx(
        np.rad2deg(np.linalg.norm(POSE[:3])), rel=0.1
    )
