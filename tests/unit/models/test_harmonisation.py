"""The recipe that turns one scanner's images into another's: who is in which, and the errors."""

from copy import deepcopy

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from bids_gan.anatomy.segment import CORTICAL_GREY
from bids_gan.errors import UsageError
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.data import Folders, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe, run_recipe
from bids_gan.models.scans import even_scan, people_by_scanner, scanners, target_tones

WHITE, GREY, FLUID = 2, 3, 4


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
    """Heads of fluid in white matter in cortex, with more fluid in one than in another."""
    folder = tmp_path_factory.mktemp("maps")
    for person, fluid in (("01", 8), ("02", 6), ("03", 7)):
        away = np.abs(np.indices((40, 40, 40)) - 19.5).max(0)
        labels = np.select([away < fluid, away < 13, away < 16], [FLUID, WHITE, GREY], 0)
        nib.save(
            nib.Nifti1Image(labels.astype(np.int16), np.eye(4)),
            folder / f"training_seg_{person}.nii.gz",
        )
    return folder


@pytest.fixture(autouse=True)
def small_and_seen(monkeypatch):
    """Small brains, whose tissues are found by their intensity: they look like no brain."""

    def by_intensity(network, image):
        return np.digitize(image, [0.05, 0.62, 0.93]).astype(np.uint8)

    monkeypatch.setattr("bids_gan.simulate.scanner.BRAIN", 56)
    monkeypatch.setattr("bids_gan.models.scans.find_structures", by_intensity)


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


def test_tissues_of_both_scanners_are_as_bright_as_in_that_of_the_target(
    recipe, label_maps, tmp_path
):
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    pairs = [next(iter(validation())), *map(batches, range(3))]
    wanted = target_tones(recipe, label_maps, tmp_path)
    for pair in pairs:
        mask = pair.get("target_mask", pair["mask"])
        for image, inside in ((pair["input"], pair["mask"]), (pair["target"], mask)):
            values = image[inside > 0]
            # the brightest tenth is white matter in all of them
            assert float(values.quantile(0.95)) == pytest.approx(wanted[-1], abs=0.12)
    # people of the validation are in both, to be compared
    assert pairs[0]["input"].shape == pairs[0]["target"].shape
    grey = (pairs[0]["labels"] == CORTICAL_GREY).unsqueeze(1)
    assert pairs[0]["input"][grey].median() == pytest.approx(
        float(pairs[0]["target"][grey].median()), abs=0.06
    )


def test_scans_differ_before_their_tones_are_matched(recipe, label_maps, tmp_path):
    scan = even_scan(recipe, label_maps, tmp_path, "03", scanners(recipe)).float()
    grey = scan[-1] == CORTICAL_GREY
    assert scan[0][grey].median() > scan[2][grey].median() + 0.1


def test_scans_of_other_people_seeds_and_scanners_are_others(recipe, label_maps, tmp_path):
    source, target = scanners(recipe)

    def scan(seed, one):
        cache = tmp_path / str(seed)
        return even_scan(recipe | {"seed": seed}, label_maps, cache, "01", [one])

    first = scan(1, target)
    assert torch.equal(first, scan(1, target))
    for other in (scan(2, target), scan(1, source)):
        assert first.shape != other.shape or not torch.equal(first[0], other[0])


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
    wanted = target_tones(recipe, label_maps, tmp_path / "cache")
    assert card.text["Tones"] == pytest.approx(wanted.tolist(), abs=1e-4)
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
