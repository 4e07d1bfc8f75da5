"""The estimator on a small head: reduced resolution and iterations, every axis and orientation."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from phantom import (
    ORIENTATIONS,
    PE_DIRECTIONS,
    brain_mask,
    grid,
    soft_brain,
    texture,
    world_points,
)

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.coregister import Brain, coregister, mask_overlap
from bids_gan.distortion.correct import RunImages, estimate_correction
from bids_gan.distortion.estimate import estimate_field, similarity
from bids_gan.distortion.forward import distort
from bids_gan.distortion.guides import t2_like
from bids_gan.distortion.similarity import LocalCorrelation, standardise
from bids_gan.distortion.spline import SplineBox
from bids_gan.distortion.types import EstimatorSettings, Guides, Level, Measured
from bids_gan.distortion.units import hz_to_voxels, jacobian, mm_per_hz
from bids_gan.geometry import pe_axis_sign, voxel_sizes
from bids_gan.models.registry import find_card, load_model

READOUT = 0.05
QUICK = EstimatorSettings(
    levels=(Level(6.0, 30.0, 0.7, 50), Level(4.0, 20.0, 0.5, 40, rigid=False)),
    rigid_iterations=5,
    refine_rigid=True,
)
FAST = {
    ("RAS", "j"), ("RAS", "i-"), ("LAS", "j-"), ("LIA", "k"), ("LIA", "i"), ("PSR", "k-"),
    ("PSR", "i"), ("oblique", "j-"), ("oblique", "i"),
}  # fmt: skip
MATRIX = [
    pytest.param(o, pe, marks=() if (o, pe) in FAST else pytest.mark.slow)
    for o in ORIENTATIONS
    for pe in PE_DIRECTIONS
]


def b0_like(points):
    return (soft_brain(points) * (0.3 + texture(points, 0))).astype(np.float32)


def fa_like(points):
    return (soft_brain(points) * texture(points, 7)).astype(np.float32)


def person(orientation="RAS", pe="j", peak_mm=7.0, zooms=(3.0, 3.5, 4.0), seed=0):
    """Distorted images on the diffusion grid, guides on a RAS grid, true displacement in mm."""
    shape, affine = grid(orientation, zooms)
    points = world_points(shape, affine)
    bump = np.exp(-((points - [5, 20, -8]) ** 2).sum(-1) / (2 * 20.0**2))
    hz = bump * peak_mm / mm_per_hz(affine, pe, READOUT)
    rng = np.random.default_rng(seed)
    # FA is a ratio: distorted without pile-up, as signal over signal
    b0, weighted = (
        distort(image, hz, pe, READOUT)
        for image in (b0_like(points), b0_like(points) * fa_like(points))
    )
    fa = np.divide(weighted, b0, out=np.zeros_like(b0), where=b0 > 0.05)
    noise = 0.02 * rng.standard_normal((2, *shape)).astype(np.float32)
    measured = Measured(b0 + noise[0], fa + noise[1], affine, pe, READOUT)
    t1_shape, t1_affine = grid("RAS", (3.0, 3.0, 3.0))
    t1_points = world_points(t1_shape, t1_affine)
    guides = Guides(fa_like(t1_points), b0_like(t1_points), brain_mask(t1_points), t1_affine)
    axis, _ = pe_axis_sign(pe)
    mm = hz_to_voxels(hz, pe, READOUT) * voxel_sizes(affine)[axis]
    return measured, guides, mm, brain_mask(points)


def as_run(measured, guides):
    """What the application has of such a person."""

    def image(data):
        return nib.Nifti1Image(np.asarray(data, np.float32), guides.affine)

    order = np.digitize(guides.t2, [0.55, 0.8]) + 1
    return RunImages(
        t1w=image(guides.mask * (1.5 - guides.t2)),
        brain_mask=image(guides.mask),
        tissue=image(np.where(guides.mask, 4 - order, 0)),
        synth_fa=image(guides.fa),
        b0=nib.Nifti1Image(measured.b0, measured.affine),
        b0_mask=measured.b0 > 0.15,
        fa=measured.fa,
    )


def mean_error(estimate, mm, mask):
    return np.abs(estimate.displacement_mm - mm)[mask].mean() / np.abs(mm)[mask].mean()


@pytest.mark.parametrize(("orientation", "pe"), MATRIX)
def test_field_is_found_on_every_axis_and_orientation(orientation, pe):
    measured, guides, mm, mask = person(orientation, pe)
    found = estimate_field(measured, guides, np.eye(4), QUICK)
    assert mean_error(found, mm, mask) < 0.45
    # Hz and mm are the same thing
    axis, _ = pe_axis_sign(pe)
    voxels = hz_to_voxels(found.hz, pe, READOUT)
    assert np.allclose(
        voxels * voxel_sizes(measured.affine)[axis], found.displacement_mm, atol=1e-3
    )
    assert jacobian(voxels, axis)[mask].min() > 0


def test_estimate_is_reproducible_and_fades_out():
    measured, guides, _, _ = person()
    first = estimate_field(measured, guides, np.eye(4), QUICK)
    again = estimate_field(measured, guides, np.eye(4), QUICK)
    assert np.array_equal(first.hz, again.hz)
    inside = np.abs(first.hz[first.mask]).max()
    assert np.abs(first.hz[:2, :2, :2]).max() < 0.1 * inside


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_either_channel_alone_works(weights):
    measured, guides, mm, mask = person()
    settings = replace(QUICK, weight_fa=weights[0], weight_b0=weights[1])
    found = estimate_field(measured, guides, np.eye(4), settings)
    assert mean_error(found, mm, mask) < 0.6
    assert ("fa" in found.terms) == (weights[0] > 0)


def test_undistorted_images_are_left_alone():
    measured, guides, _, mask = person(peak_mm=0.0)
    found = estimate_field(measured, guides, np.eye(4), QUICK)
    assert np.abs(found.displacement_mm[mask]).mean() < 0.45


def test_similarity_rises_with_the_true_field():
    measured, guides, mm, _ = person()
    before = similarity(measured, guides, np.eye(4), 0 * mm)
    after = similarity(measured, guides, np.eye(4), mm)
    assert after["b0"] > before["b0"] + 0.02
    assert after["fa"] > before["fa"] + 0.02


def test_coregistration_finds_a_moved_head():
    measured, guides, _, _ = person(peak_mm=0.0)
    moved = rigid_matrix(np.r_[np.deg2rad([3.0, -2, 4]), 4, -3, 2], np.zeros(3))
    t1w = Brain(guides.t2, guides.mask, moved @ guides.affine)
    found = coregister(Brain(measured.b0, measured.b0 > 0.15, measured.affine), t1w)
    assert found.start == "header"
    assert np.abs(found.dwi_to_t1w - moved)[:3, 3].max() < 0.5
    assert np.abs(found.dwi_to_t1w - moved)[:3, :3].max() < np.deg2rad(0.7)


def test_coregistration_starts_from_the_centres_when_headers_are_far_off():
    measured, guides, _, _ = person(peak_mm=0.0)
    far = np.eye(4)
    far[:3, 3] = [90, -60, 120]
    dwi = Brain(measured.b0, measured.b0 > 0.15, measured.affine)
    t1w = Brain(guides.t2, guides.mask, far @ guides.affine)
    assert mask_overlap(dwi, t1w, np.eye(4)) < 0.2
    found = coregister(dwi, t1w)
    assert found.start == "centre of mass"
    assert found.overlap > 0.9
    assert np.abs(found.dwi_to_t1w - far)[:3, 3].max() < 1


def test_whole_correction_of_a_person():
    measured, guides, mm, mask = person()
    images = as_run(measured, guides)
    network = load_model(find_card("distortion")).network
    result = estimate_correction(images, "j", READOUT, network)
    # a constant displacement cannot be told from a moved head: only the shape is compared;
    # nobody's head looks like this one, and of that much the network is to be wary
    wrong = (result.estimate.displacement_mm - mm)[mask]
    assert np.abs(wrong - wrong.mean()).mean() < 0.8 * np.abs(mm[mask] - mm[mask].mean()).mean()
    assert {"accepted", "reasons", "jacobian_min", "displacement_p99_mm"} <= set(result.quality)
    assert result.synth_fa_dwi.shape == mask.shape
    with pytest.raises(ValueError, match="readout time"):
        estimate_correction(images, "j", 0.0, network)
    with pytest.raises(ValueError, match="fa has shape"):
        replace(images, fa=measured.fa[1:])
    with pytest.raises(ValueError, match="empty"):
        replace(images, b0_mask=np.zeros(mask.shape, bool))


def test_spline_reproduces_a_cubic_and_its_bending():
    box = SplineBox((60.0, 50.0, 40.0), 20.0)
    grids = [np.linspace(0, edge, 25) for edge in box.lengths]
    x, y, z = np.meshgrid(*grids, indexing="ij")
    values = 0.01 * x**2 + 0.02 * x * y - 0.005 * z**2
    c = box.fit(values, grids)
    assert np.allclose(box.evaluate(c, grids), values, atol=1e-6)
    assert np.allclose(box.evaluate(c, grids, (0, 1, 0)), 0.02 * x, atol=1e-6)
    energy = sum(
        weight * np.sum(c * np.einsum("abc,ax,by,cz->xyz", c, *grams))
        for weight, grams in box.bending_matrices()
    )
    assert energy == pytest.approx(0.02**2 + 2 * 0.02**2 + 0.01**2, rel=1e-6)


def test_local_correlation_sees_the_inside_only():
    rng = np.random.default_rng(0)
    a, noise = (torch.from_numpy(rng.normal(size=(12, 12, 12)).astype(np.float32)) for _ in "ab")
    mask = torch.zeros(12, 12, 12)
    mask[3:9, 3:9, 3:9] = 1
    compare = LocalCorrelation(standardise(a, mask), mask, radius=3)
    assert float(compare(3 * a + 5)) > 0.95
    assert float(compare(-a)) < -0.95
    assert abs(float(compare(noise))) < 0.2
    outside_changed = torch.where(mask > 0, a, 100 * noise)
    assert float(compare(outside_changed)) == pytest.approx(float(compare(a)), abs=1e-4)


def test_t2_like_reverses_the_tissues_and_keeps_texture():
    tissue = np.array([1, 2, 3, 1, 2, 3]).reshape(1, 1, 6)
    t1w = np.array([10.0, 50, 90, 12, 55, 95]).reshape(1, 1, 6)
    found = t2_like(t1w, tissue > 0, tissue).ravel()
    assert found[0] > found[1] > found[2]
    assert found[1] > found[4]
