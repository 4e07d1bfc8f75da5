"""The learnt estimator sees every run alike, and what it expects guides the variational one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantom import ORIENTATIONS, PE_DIRECTIONS
from test_estimate import mean_error, person
from torch import nn
from torch.nn import functional as F

from bids_gan.distortion import correct
from bids_gan.distortion.coregister import Coregistration
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.learnt import CHANNELS, SPACING, canonical_grid, predict
from bids_gan.distortion.types import EstimatorSettings, FieldEstimate, FieldPrior, Level
from bids_gan.gan.networks.layers import pad_to_multiple
from bids_gan.gan.networks.matching import MatchingUNet
from bids_gan.geometry import resample

ONE_LEVEL = EstimatorSettings(levels=(Level(6.0, 30.0, 0.7, 25),), refine_rigid=False)


class Matcher(nn.Module):
    """In place of a trained network: the shift at which images correlate, 2 mm uncertain."""

    def forward(self, x):
        size = x.shape[2:]
        shift = MatchingUNet(len(CHANNELS), 2)._matches(pad_to_multiple(x.float(), 8))[:, -1:]
        mm = SPACING * F.interpolate(shift, scale_factor=2)[..., : size[0], : size[1], : size[2]]
        return torch.cat([mm, torch.full_like(mm, np.log(4.0))], dim=1)


def on_grid(image, prior, measured):
    return resample(image, prior.affine, measured.b0.shape, measured.affine, antialias=False)


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_sign_and_place_are_right_in_every_orientation(orientation, pe):
    measured, guides, mm, mask = person(orientation, pe)
    prior = predict(measured, guides, np.eye(4), Matcher(), "fp32")
    found = on_grid(prior.mm, prior, measured)[mask]
    assert np.corrcoef(found, mm[mask])[0, 1] > 0.5
    assert np.allclose(on_grid(prior.sigma_mm, prior, measured)[mask], 2, atol=0.01)


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
    assert found.expected_error_mm == pytest.approx(1)
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


@pytest.mark.parametrize("network", [None, "a network"])
def test_every_start_of_the_alignment_has_its_own_prior(network, monkeypatch):
    moved = np.eye(4)
    moved[0, 3] = 3
    found = Coregistration(moved, "header", "registration", 3.0, 0.0, 0.9, 0.9, np.zeros(3))
    priors = []

    def estimate(measured, guides, pull, settings, prior):
        priors.append(prior)
        return FieldEstimate(None, None, pull, None, {"b0": pull[0, 3]})

    monkeypatch.setattr(correct, "coregister", lambda *_: found)
    monkeypatch.setattr(correct, "predict", lambda m, g, pull, network: (network, pull[0, 3]))
    monkeypatch.setattr(correct, "estimate_field", estimate)
    measured, guides, _, mask = person()
    scene = (measured, mask, guides, None, ONE_LEVEL)
    _, better = correct.best_fit(*scene, network)
    assert priors == ([None, None] if network is None else [(network, 3), (network, 0)])
    assert better.dwi_to_t1w[0, 3] == 0
