"""The recipe that turns one scanner's images into another's: who is in which, and the errors."""

from copy import deepcopy

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from bids_gan.errors import UsageError
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.data import Folders, people_by_scanner, scanners, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe, run_recipe

WHITE, GREY = 2, 3


@pytest.fixture
def recipe():
    recipe = deepcopy(read_recipe("harmonisation"))
    recipe["network"]["widths"] = [8, 8]
    recipe["adversarial"]["base"] = 2
    recipe["data"] = {"patch": 24, "batch": 2}
    recipe["label_maps"] = {"train": ["01", "02"], "validation": ["03"], "test": ["03"]}
    recipe["training"] |= {
        "steps": 2, "warmup": 1, "validate_every": 2, "precision": "fp32", "workers": 0,
    }  # fmt: skip
    return recipe


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory):
    """A head of white matter alone, one of cortex alone, and one of both."""
    folder = tmp_path_factory.mktemp("maps")
    for person, inside in (("01", WHITE), ("02", GREY), ("03", WHITE)):
        labels = np.zeros((36, 36, 36), np.int16)
        labels[4:32, 4:32, 4:32] = inside if person != "03" else GREY
        labels[8:28, 8:28, 8:28] = inside
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / f"training_seg_{person}.nii.gz")
    return folder


def test_recipe_names_two_scanners_that_differ():
    source, target = scanners(read_recipe("harmonisation"))
    assert (source.field_strength, source.pulses.sequence) == (1.5, "SPGR")
    assert (target.field_strength, target.pulses.sequence) == (3.0, "MPRAGE")
    assert source.slice_mm > target.slice_mm
    assert source.noise > target.noise
    assert source.bias > target.bias


def test_nobody_is_in_both_scanners(recipe):
    source, target = people_by_scanner(read_recipe("harmonisation"))
    assert source
    assert target
    assert not set(source) & set(target)
    recipe["label_maps"]["train"] = ["01"]
    with pytest.raises(UsageError, match=r"train names 1 people, two scanners need 2"):
        people_by_scanner(recipe)


def test_images_are_of_different_people_and_of_their_scanners(recipe, label_maps, tmp_path):
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    _, target = scanners(recipe)
    grey = target.contrast(np.random.default_rng(0))[GREY]
    for batch in map(batches, range(3)):
        # the source's people have white matter alone, those of the target cortex alone
        assert float(batch["input"][batch["mask"] > 0].median()) == pytest.approx(1, abs=0.3)
        seen = float(batch["target"][batch["target_mask"] > 0].median())
        assert seen == pytest.approx(grey, abs=0.15)
    # people of the validation are in both, to be compared
    pair = next(iter(validation()))
    assert pair["input"].shape == pair["target"].shape
    inside = (pair["labels"] == 2).unsqueeze(1) & (pair["mask"] > 0)
    assert pair["input"][inside].mean() > pair["target"][inside].mean() + 0.05


@pytest.mark.parametrize("dimensions", [2, 3])
def test_training_begins_with_the_identity(recipe, label_maps, tmp_path, dimensions):
    recipe["network"]["dimensions"] = dimensions
    recipe["options"]["identity_weight"] = 1
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    method = make_method(build_network(recipe["network"]), recipe)
    terms = method.losses(batches(0), 0)["generator"]
    for name in ("cycle_source", "cycle_target", "identity_source", "identity_target"):
        assert terms[name].item() == 0
    pair = next(iter(validation()))
    made = method.preview(method.modules["generator"].eval(), pair)["output"]
    assert torch.allclose(made, pair["input"][0, 0], atol=1e-5)
    # and does not stay there
    sum(terms.values()).backward()
    slopes = [p.grad for p in method.modules["generator"].parameters() if p.grad is not None]
    assert any(slope.abs().max() > 0 for slope in slopes)


@pytest.mark.parametrize("layers", [1, 2])
def test_discriminators_have_the_layers_of_the_recipe(recipe, layers):
    recipe["adversarial"]["layers"] = layers
    method = make_method(build_network(recipe["network"]), recipe)
    for name in ("critic_source", "critic_target"):
        parts = method.modules[name].modules()
        assert sum(isinstance(part, nn.Conv3d) for part in parts) == layers + 2


def test_recipe_trains_and_its_card_gives_the_network_back(recipe, label_maps, tmp_path):
    card = run_recipe(recipe, Folders(label_maps=label_maps), tmp_path)
    assert card.network["residual"] is True
    assert card.text["Recipe"]["simulation"]["source"] == "B"
    assert "validation_l1" in (tmp_path / "log.csv").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "C"}, r"\[simulation\]: no scanner 'C', there are A, B"),
        ({"B": {"nois": 0.1}}, r"\[simulation.scanners.B\]: .*nois"),
        ({"B": {"field_strength": 7}}, r"\[simulation.scanners.B\]: field strength 7 T"),
        ({"A": {"pulses": {"sequence": "MPRAGE", "tr": 2, "te": 0.003}}}, r"A\]: .*needs ti"),
        ({"A": {"pulses": {"sequence": "SPGR", "TR": 2}}}, r"scanners.A\]: .*TR"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_scanner_is_said(recipe, change, message):
    simulation = recipe["simulation"]
    for key, value in change.items():
        if key in simulation["scanners"]:
            simulation["scanners"][key] |= value
        else:
            simulation[key] = value
    with pytest.raises(UsageError, match=r"recipe harmonisation, .*" + message):
        scanners(recipe)


def test_missing_pulses_are_named(recipe):
    del recipe["simulation"]["scanners"]["A"]["pulses"]
    with pytest.raises(UsageError, match=r"scanners.A\]: pulses is missing"):
        scanners(recipe)


def test_unknown_key_of_the_cycle_is_named(recipe):
    recipe["options"]["identity"] = 5
    with pytest.raises(UsageError, match=r"recipe harmonisation, \[options\]: .*identity"):
        make_method(build_network(recipe["network"]), recipe)
