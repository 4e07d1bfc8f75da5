"""Predicted memory: against arithmetic, and against what a new process takes."""

import pytest
import torch
from torch import nn

from bids_gan.cli.model import main
from bids_gan.gan.memory import inference_memory, without_content
from bids_gan.models.memory import (
    largest_that_fits,
    measure_inference,
    measure_training,
    plan_inference,
    plan_training,
)
from bids_gan.models.recipe import FOLDER, read_recipe


@pytest.mark.parametrize(
    ("convolution", "shape", "expected"),
    [(nn.Conv2d, (256, 256), 64 * 2**20), (nn.Conv3d, (256, 256, 256), 16 * 2**30)],
)
def test_256_responses_of_a_slice_and_of_a_volume(convolution, shape, expected):
    with without_content() as tracker, torch.no_grad():
        layer, image = convolution(1, 256, 3, padding=1), torch.empty(1, 1, *shape)
        before = tracker.now
        responses = layer(image)
        assert tracker.now - before == expected
        del responses
        assert tracker.now == before


def test_parameters_and_images_are_counted_exactly():
    footprint = inference_memory(lambda: nn.Conv3d(2, 3, 1, bias=False), (2, 8, 8, 8), "fp32")
    assert footprint.parts["parameters"] == 2 * 3 * 4
    assert footprint.parts["input"] == 2 * 8**3 * 4
    assert footprint.parts["output"] == 3 * 8**3 * 4
    half = inference_memory(lambda: nn.Conv3d(2, 3, 1, bias=False), (2, 8, 8, 8), "bf16")
    assert half.parts["parameters"] == 2 * 3 * 2


def test_tiles_need_less_than_the_whole_and_training_more():
    recipe = read_recipe("t1w-to-fa")
    whole = plan_inference(recipe, (96, 96, 96), "fp32").peak
    assert plan_inference(recipe, (96, 96, 96), "bf16").peak < whole
    assert plan_inference(recipe, (96, 96, 96), "fp32", tile=32).peak < whole
    one, two = (plan_training(recipe, 32, n, "fp32").parts for n in (1, 2))
    assert one["gradients"] == one["optimiser"] / 2 > one["moving average"] > 0
    assert 1.5 < two["kept for backward"] / one["kept for backward"] <= 2


def test_largest_size_within_a_budget():
    assert largest_that_fits(lambda n: n**3, 50**3, 256) == 48
    assert largest_that_fits(lambda n: n**3, 48**3, 256) == 48
    assert largest_that_fits(lambda n: n**3, 15**3, 256) is None
    assert largest_that_fits(lambda n: n, 1000, 100) == 96


@pytest.mark.parametrize(
    ("name", "shape", "precision"),
    [("t1w-to-fa", (112, 128, 112), "fp32"), ("pix2pix", (64, 48, 48), "fp32")],
)
def test_prediction_of_inference_is_what_a_new_process_takes(name, shape, precision):
    recipe = read_recipe(name)
    predicted = plan_inference(recipe, shape, precision).peak
    assert predicted == pytest.approx(measure_inference(recipe, shape, precision), rel=0.25)


def test_prediction_of_training_is_what_a_new_process_takes():
    recipe = read_recipe("t1w-to-fa")
    predicted = plan_training(recipe, 48, 2, "fp32").peak
    assert predicted == pytest.approx(measure_training(recipe, 48, 2, "fp32"), rel=0.25)


def test_command_prints_the_table_and_what_would_fit(capsys):
    options = ["--volume", "64", "64", "48", "--patch", "32", "--batch", "1"]
    assert main(["plan-memory", "t1w-to-fa", *options, "--precision", "fp32"]) == 0
    table = capsys.readouterr().out
    assert "| MiB | inference 64×64×48, fp32 | training 1 × 32³, fp32 |" in table
    assert "| optimiser | – |" in table
    assert main(["plan-memory", "t1w-to-fa", *options, "--memory-gb", "0.001"]) == 0
    assert "not even cubes of 16 fit" in capsys.readouterr().out
    assert main(["plan-memory", "nothing", *options]) == 69


@pytest.mark.parametrize("name", ["anatomy", "collagan", "stargan", "dual-stage"])
def test_what_can_be_predicted_of_a_recipe_is(name, capsys):
    assert main(["plan-memory", name, "--volume", "48", "48", "48", "--batch", "2"]) == 0
    table = capsys.readouterr().out
    assert "| **together** |" in table
    assert ("inference" in table) == (name != "dual-stage")
    assert ("training" in table) == (name != "collagan")


def test_training_is_planned_at_the_last_size_of_a_network_that_grows():
    """A batch of twice the people keeps twice as much, and more than images of 64³ take."""
    recipe = read_recipe("progressive")
    one, two = (plan_training(recipe, 64, n, "fp32").parts for n in (2, 4))
    assert one["batch"] == two["batch"] / 2 > 2 * 64**3 * 4
    assert one["kept for backward"] > 10 * 64**3 * 4
    assert 1.5 < two["kept for backward"] / one["kept for backward"] <= 2.1


@pytest.mark.parametrize("name", ["progressive", "dual-stage", "constrained-autoencoder"])
def test_other_patches_for_networks_of_one_size_are_refused(name, capsys):
    assert main(["plan-memory", name, "--patch", "48"]) == 2
    error = capsys.readouterr().err
    assert f"--patch 48: the networks of {name} are made for patches of" in error


def test_what_cannot_be_predicted_is_said(capsys, tmp_path):
    recipe = tmp_path / "distortion.toml"
    text = (FOLDER / "distortion.toml").read_text()
    recipe.write_text(text.replace('kind = "matching-unet"', 'kind = "progressive"'))
    assert main(["plan-memory", str(recipe)]) == 2
    assert "its steps depend on its images" in capsys.readouterr().err
