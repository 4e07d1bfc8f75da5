"""The learnt estimator sees every run alike, and what it expects guides the variational one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantom import ORIENTATIONS, PE_DIRECTIONS
from test_estimate import MATRIX, as_run, mean_error, person
from torch import nn
from torch.nn import functional as F

from bids_gan.distortion import learnt
from bids_gan.distortion.alignment import seen
from bids_gan.distortion.coregister import Brain, coregister
from bids_gan.distortion.correct import expected_displacement
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.learnt import CHANNELS, SPACING, canonical_grid, predict
from bids_gan.distortion.quality import axis_numbers, judge
from bids_gan.distortion.types import EstimatorSettings, FieldPrior, Level
from bids_gan.gan.networks.layers import pad_to_multiple
from bids_gan.gan.networks.matching import MatchingUNet
from bids_gan.geometry import resample, voxel_sizes

ONE_LEVEL = EstimatorSettings(levels=(Level(6.0, 30.0, 0.7, 25),), refine_rigid=False)


class Matcher(nn.Module):
    """In place of a trained network: the shift at which images correlate, 2 mm uncertain."""

    def __init__(self, apart=(0.0, 0.0, 0.0)):
        super().__init__()
        self.apart = torch.tensor(apart).reshape(1, 3, 1, 1, 1)

    def forward(self, x):
        size = x.shape[2:]
        shift = MatchingUNet(len(CHANNELS), 5)._matches(pad_to_multiple(x.float(), 8))[:, -1:]
        mm = SPACING * F.interpolate(shift, scale_factor=2)[..., : size[0], : size[1], : size[2]]
        apart = self.apart.expand(-1, -1, *mm.shape[2:])
        return torch.cat([mm, torch.full_like(mm, np.log(4.0)), apart], dim=1)


def on_grid(image, prior, measured):
    return resample(image, prior.affine, measured.b0.shape, measured.affine, antialias=False)


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_sign_and_place_are_right_in_every_orientation(orientation, pe):
    measured, guides, mm, mask = person(orientation, pe)
    network = Matcher((1.0, 2.0, 3.0))
    prior = predict(measured, guides, np.eye(4), network, precision="fp32")
    found = on_grid(prior.mm, prior, measured)[mask]
    assert np.corrcoef(found, mm[mask])[0, 1] > 0.5
    assert np.allclose(on_grid(prior.sigma_mm, prior, measured)[mask], 2, atol=0.01)
    # a misalignment of 1 mm along phase encoding, 2 and 3 mm to the right, front or top
    axes = (measured.affine[:3, :3] / voxel_sizes(measured.affine)).T
    phase = "ijk".index(pe[0])
    blip = axes[phase] * (-1 if pe.endswith("-") else 1)
    towards = np.abs(axes).argmax(axis=1)
    others = sorted({0, 1, 2} - {phase}, key=lambda axis: towards[axis])
    signs = [np.sign(axes[axis, towards[axis]]) for axis in others]
    world = blip + sum(
        mm * sign * axes[axis] for mm, sign, axis in zip((2, 3), signs, others, strict=True)
    )
    assert np.allclose(prior.apart, world, atol=1e-4)


@pytest.mark.parametrize("pe", ["j", "j-"])
def test_phase_encoding_runs_along_the_first_axis_of_a_positive_blip(pe):
    measured, guides, _, _ = person("LAS", pe)
    grid = canonical_grid(measured, guides, np.eye(4))
    sign = 1 if pe == "j" else -1
    expected = np.array([[0, 1, 0], [sign, 0, 0], [0, 0, 1]]) * SPACING
    assert np.allclose(grid.affine[:3, :3], expected, atol=1e-6)


def test_prior_alone_is_the_estimate_where_images_do_not_count():
    measured, guides, mm, mask = person()
    prior = FieldPrior(mm, np.ones_like(mm), measured.affine)
    blind = replace(ONE_LEVEL, weight_fa=0.0, weight_b0=0.0, fold=0.0)
    found = estimate_field(measured, guides, np.eye(4), blind, prior)
    assert np.abs(found.displacement_mm - mm)[mask].max() < 0.1


def test_prior_is_followed_as_far_as_it_is_sure():
    measured, guides, mm, mask = person()
    errors = [
        mean_error(
            estimate_field(
                measured, guides, np.eye(4), ONE_LEVEL,
                FieldPrior(0 * mm, np.full_like(mm, sigma), measured.affine),
            ), mm, mask,
        )
        for sigma in (0.1, 30.0)
    ]  # fmt: skip
    assert errors[0] > 0.8
    assert errors[1] < 0.6


@pytest.mark.parametrize("orientation", ["RAS", "LIA"])
def test_what_was_expected_lies_on_the_diffusion_grid(orientation):
    measured, guides, mm, _mask = person(orientation, "j-" if orientation == "RAS" else "i")
    prior = FieldPrior(mm, 1 + 0.1 * np.abs(mm), measured.affine)
    found = estimate_field(measured, guides, np.eye(4), ONE_LEVEL, prior).expected
    assert np.allclose(found.mm, mm, atol=1e-4)
    assert np.allclose(found.sigma_mm, prior.sigma_mm, atol=1e-4)
    assert estimate_field(measured, guides, np.eye(4), ONE_LEVEL).expected is None


@pytest.mark.parametrize(("orientation", "pe"), MATRIX)
def test_what_both_blips_are_told_lies_on_the_diffusion_grid(orientation, pe):
    measured, guides, mm, mask = person(orientation, pe)
    images = as_run(measured, guides)
    prior = expected_displacement(images, pe, measured.readout_time, Matcher())
    assert np.array_equal(prior.affine, measured.affine)
    assert np.corrcoef(prior.mm[mask], mm[mask])[0, 1] > 0.4
    known = np.isfinite(prior.sigma_mm)
    assert np.allclose(prior.sigma_mm[known], 2, atol=0.01)
    assert (known & mask).sum() > 0.85 * max(known.sum(), mask.sum())


@pytest.mark.parametrize(("images", "erased"), [(("b0",), (2, 4)), (("fa",), (0, 3))])
def test_an_image_that_is_left_out_is_not_seen(images, erased, monkeypatch):
    measured, guides, _, _ = person()
    seen = []

    def run(network, volume, precision):
        seen.append(volume)
        return torch.zeros(5, *volume.shape[1:])

    monkeypatch.setattr(learnt, "run_network", run)
    for names in (("b0", "fa"), images):
        predict(measured, guides, np.eye(4), None, names)
    whole, part = seen
    for channel in range(len(CHANNELS)):
        same = np.array_equal(part[channel], whole[channel])
        assert same == (channel not in erased)
        assert part[channel].any() == (channel not in erased)


def verdict(measured, guides, expected_mm, sigma=0.5):
    """What the gate says of a fit around a prior, the network's part played by a matcher."""
    prior = FieldPrior(expected_mm, np.full(expected_mm.shape, sigma), measured.affine)
    dwi = Brain(measured.b0, measured.b0 > 0.15, measured.affine)
    aligned = coregister(dwi, Brain(guides.t2, guides.mask, guides.affine)).by_headers()
    found = estimate_field(measured, guides, np.eye(4), ONE_LEVEL, prior)
    return judge(measured, guides, seen(measured, guides, aligned, Matcher()), found, Matcher())


@pytest.mark.parametrize("pe", ["i", "j-", "k"])
def test_displacement_is_along_the_phase_encoding_or_the_sidecar_is_wrong(pe):
    measured, guides, _, _ = person("LIA", pe)
    dwi = Brain(measured.b0, measured.b0 > 0.15, measured.affine)
    aligned = coregister(dwi, Brain(guides.t2, guides.mask, guides.affine)).by_headers()

    def looked(said, network):
        scan = replace(measured, pe_direction=said)
        return axis_numbers(scan, guides, seen(scan, guides, aligned, network), network)

    assert looked(pe, Matcher())["axis_share"] < 0.8
    for wrong in sorted(set("ijk") - {pe[0]}):
        assert looked(wrong, Matcher())["axis_share"] > 1.25
    # a move of the head is no bend, along whatever axis it is looked at
    assert looked(pe, Matcher((1.0, 2.0, 3.0)))["left_bend_mm"] == pytest.approx(0, abs=0.01)


def test_gate_tells_a_field_that_is_sure_from_one_that_is_not():
    measured, guides, mm, _ = person()
    good = verdict(measured, guides, mm)
    assert good["accepted"], good["reasons"]
    unsure = verdict(measured, guides, 0.1 * mm, sigma=6.0)
    assert not unsure["accepted"]
    assert "expects an error" in unsure["reasons"][0]


def test_image_that_was_held_out_agrees_better_unless_the_guide_is_useless():
    measured, guides, mm, _ = person()
    good = verdict(measured, guides, mm)
    total = 0
    for name in ("b0", "fa"):
        change = good[f"held_out_{name}_after"] - good[f"held_out_{name}_before"]
        assert good[f"held_out_{name}_gain"] == pytest.approx(change)
        total += change
    assert total > 0
    useless = verdict(measured, replace(guides, fa=guides.fa[::-1].copy()), mm)
    assert useless["held_out_correlation"] < good["held_out_correlation"]
    assert useless["displacement_spread_mm"] > good["displacement_spread_mm"]
    assert useless["held_out_b0_gain"] < good["held_out_b0_gain"]


def test_gate_scores_a_wrong_axis_below_the_right_one():
    measured, guides, mm, _ = person()
    wrong = replace(measured, pe_direction="k")
    scores = [verdict(scan, guides, mm)["gate_score"] for scan in (measured, wrong)]
    assert scores[1] < scores[0] - 1
