"""Rigid alignment of diffusion images with the T1w when no field is estimated against it."""

import nibabel as nib
import numpy as np
from phantom import brain_mask, grid, soft_brain, texture, world_points

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion import coregister as module
from bids_gan.distortion.coregister import Brain, coregister, mask_overlap
from bids_gan.distortion.correct import RunImages, align

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
