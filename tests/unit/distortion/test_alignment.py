"""Rigid alignment of diffusion images with the T1w, distorted or not."""

import nibabel as nib
import numpy as np
import pytest
from phantom import brain_mask, grid, soft_brain, texture, world_points

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion import alignment
from bids_gan.distortion import coregister as module
from bids_gan.distortion.alignment import align_distorted
from bids_gan.distortion.coregister import Brain, Coregistration, coregister, mask_overlap
from bids_gan.distortion.correct import RunImages, align
from bids_gan.distortion.types import FieldPrior, Guides, Measured

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
        ((1.0, 0.85, 0.85), 0.0),  # no registration is clearly surer than the headers
        ((1.0, 0.7, 0.75), 2.0),
        ((1.0, 0.75, 0.7), 3.0),  # the corrected image shows where the head is
        ((1.0, 1.2, 0.7), 3.0),
    ],
)
def test_headers_are_kept_unless_a_registration_is_clearly_surer(sigmas, chosen, monkeypatch):
    shape, affine = grid("RAS", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    mask, image_ = brain_mask(points), b0(points).astype(np.float32)
    measured = Measured(image_, image_, affine, "j-", 0.05)
    guides = Guides(image_, image_, mask, affine)
    images, moves = [], iter((2.0, 3.0))

    def register(dwi, anatomy):
        images.append(dwi.image)
        return Coregistration(
            shifted(next(moves)), "header", "registration", 2.0, 0.0, 0.9, 0.9, np.zeros(3)
        )

    def expect(_, __, pull, network):
        sigma = dict(zip((0.0, 2.0, 3.0), sigmas, strict=True))[pull[0, 3]]
        return FieldPrior(np.full(shape, 6.0), np.full(shape, sigma), affine)

    monkeypatch.setattr(alignment, "coregister", register)
    monkeypatch.setattr(alignment, "predict", expect)
    found = align_distorted(measured, mask, guides, None, "network")
    assert found.coregistration.dwi_to_t1w[0, 3] == chosen
    assert found.coregistration.source == ("registration" if chosen else "header")
    assert found.error_mm == pytest.approx(min(sigmas) if chosen else sigmas[0])
    # how far the last registration is, or of that the first
    assert found.coregistration.left_mm == pytest.approx({0.0: 3, 2.0: 1, 3.0: 1}[chosen])
    # a displacement of 6 mm towards larger indices is taken back before the second registration
    recorded, corrected = images
    assert np.allclose(corrected[:, 1:-2], recorded[:, 2:-1], atol=1e-3)


def test_brains_apart_in_their_headers_are_not_left_there(monkeypatch):
    shape, affine = grid("RAS", (6.0, 6.0, 6.0))
    points = world_points(shape, affine)
    mask, image_ = brain_mask(points), b0(points).astype(np.float32)
    far = Coregistration(
        shifted(90.0), "centre of mass", "registration", 90.0, 0.0, 0.1, 0.9, np.zeros(3)
    )
    pulls = []

    def expect(_, __, pull, network):
        pulls.append(pull[0, 3])
        return FieldPrior(np.zeros(shape), np.ones(shape), affine)

    monkeypatch.setattr(alignment, "coregister", lambda *_: far)
    monkeypatch.setattr(alignment, "predict", expect)
    guides = Guides(image_, image_, mask, shifted(90.0) @ affine)
    found = align_distorted(
        Measured(image_, image_, affine, "j", 0.05), mask, guides, None, "network"
    )
    assert found.coregistration.dwi_to_t1w[0, 3] == 90
    assert 0.0 not in pulls
