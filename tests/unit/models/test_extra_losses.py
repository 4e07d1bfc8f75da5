"""The table ``[losses]`` of a recipe: what it adds, and what is refused before it is written."""

import csv

import pytest
import torch

from bids_gan.errors import ModelError, UsageError
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.data import Folders
from bids_gan.models.losses import extra_losses
from bids_gan.models.recipe import make_method, read_recipe, run_recipe


def unpaired(recipe, **losses):
    classical = {"in_channels": 1, "out_channels": 1, "base": 2, "blocks": 1, "kind": "resnet"}
    recipe |= {"method": "cyclegan", "network": classical, "adversarial": {"base": 2}}
    recipe["inputs"] = ["T1w"]
    recipe["data"] = {"patch": 32, "batch": 1}
    return recipe | {"losses": losses}


def log(folder):
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))[-1]


def test_losses_are_trained_with_and_logged_by_name(tmp_path, recipe, tiny_pairs):
    recipe["losses"] = {"gradient": 0.1, "L9": {"weight": 0.5, "sigma_mm": 1.0}}
    card = run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path)
    row = log(tmp_path)
    assert float(row["gradient"]) > 0
    assert float(row["structure"]) > 0
    assert card.text["Recipe"]["losses"] == recipe["losses"]


def test_paired_loss_is_refused_for_unpaired_data_before_anything_is_written(
    tmp_path, recipe, tiny_pairs
):
    run = tmp_path / "run"
    with pytest.raises(UsageError) as error:
        run_recipe(unpaired(recipe, gradient=0.1), Folders(pairs=tiny_pairs), run, steps=1)
    message = str(error.value)
    assert message.startswith(
        "recipe tiny, [losses]: loss gradient (L4) needs a target image aligned with every input"
    )
    assert "method cyclegan draws source and target independently" in message
    assert not run.exists()


def test_unpaired_data_take_losses_that_need_no_pair(tmp_path, recipe, tiny_pairs):
    losses = {"gradient-consistency": 0.2, "self-regularisation": 0.1, "regulation": 0.1}
    run_recipe(unpaired(recipe, **losses), Folders(pairs=tiny_pairs), tmp_path, steps=1)
    row = log(tmp_path)
    assert all(float(row[name]) > 0 for name in losses)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ({"segmentation": 1}, r"segmentation \(L7\) needs a tissue label.*\[people\] have no"),
        (
            {"classification": 1},
            r"classification \(L13\) needs a class for every image.*no image is known to show a "
            r"lesion.*\[label_maps\] alone with contrasts and lesions in \[simulation\]",
        ),
        (
            {"physical": 1},
            r"physical \(L17\) needs a model of the acquisition.*nothing says what a scanner "
            r"recorded.*epi_shift_mm in \[simulation\]",
        ),
        ({"adversarial": 1}, r"adversarial \(L1\) cannot be added.*\[adversarial\]"),
        ({"gradients": 1}, r"loss 'gradients': there are .*gradient \(L4\)"),
        ({"gradient": 0}, r"gradient: its weight is 0, a positive number"),
        ({"gradient": True}, r"gradient: its weight is True"),
        ({"gradient": {"sigma": 1}}, r"its weight is None"),
        ({"edge": {"weight": 1, "sigma": 1}}, r"no option sigma; it has sigma_mm"),
        (
            {"L2": {"weight": 1, "penalty": "l3"}},
            r"pixel-wise \(L2\): penalty 'l3': accepted are l1",
        ),
        ({"edge": {"weight": 1, "sigma_mm": "wide"}}, r"edge \(L5\): "),
    ],
)
def test_what_cannot_be_is_refused(recipe, losses, reason):
    with pytest.raises(UsageError, match=rf"recipe tiny, \[losses\]: .*{reason}"):
        extra_losses(recipe | {"losses": losses})


def test_simulation_must_be_asked_for_classes_and_physics():
    simulated = read_recipe("pix2pix")
    for name, key in (("classification", "lesions"), ("physical", "epi_shift_mm")):
        with pytest.raises(UsageError, match=f"with contrasts and {key} in"):
            extra_losses(simulated | {"losses": {name: 1}})
    asked = {"simulation": {"contrasts": ["T1w", "b0"], "lesions": 0.5, "epi_shift_mm": 8.0}}
    assert [term.name for term in extra_losses(simulated | asked | {"losses": {"L17": 1}})] == [
        "physical"
    ]
    with pytest.raises(UsageError, match="model anatomy tells no classes of images"):
        extra_losses(simulated | asked | {"losses": {"L13": 1}})


def test_model_of_a_loss_must_exist(recipe):
    losses = {"perceptual": {"weight": 1, "model": "vgg"}}
    with pytest.raises(ModelError, match="vgg: no such model"):
        extra_losses(recipe | {"losses": losses})


def test_method_without_extra_losses_and_former_table_are_refused(recipe):
    with pytest.raises(UsageError, match="method segmentation takes none"):
        extra_losses(recipe | {"method": "segmentation", "losses": {"edge": 1}})
    former = recipe | {"perceptual": {"model": "anatomy", "weight": 1}}
    with pytest.raises(UsageError, match=r"it stands in \[losses\] now"):
        extra_losses(former)


@pytest.mark.parametrize("name", ["paired", "pix2pix"])
def test_labels_of_simulated_heads_and_spacing_reach_the_losses(recipe, name):
    del recipe["people"]
    recipe["method"] = name
    if name == "pix2pix":
        recipe["network"] = {"kind": "resnet", "in_channels": 4, "out_channels": 1, "base": 2}
        recipe["adversarial"] = {"base": 2}
    recipe["label_maps"] = {}
    recipe["data"]["spacing"] = 2.0
    recipe["losses"] = {"segmentation": 0.5, "gradient": 1.0}
    method = make_method(build_network(recipe["network"]), recipe)
    method.modules["generator"].eval()
    ones = torch.ones(1, 1, 32, 32, 32)
    ramp = torch.arange(32.0).expand(1, 1, 32, 32, 32) / 32
    batch = {
        "input": ramp.expand(1, 4, 32, 32, 32),
        "target": ramp,
        "mask": ones,
        "supervised": ones,
        "thickness": torch.tensor([1]),
        "labels": torch.full((1, 32, 32, 32), 4),
    }
    terms = method.losses(batch, 0)["generator"]
    white = terms["segmentation"]
    batch["labels"] = torch.full((1, 32, 32, 32), 1)
    assert method.losses(batch, 0)["generator"]["segmentation"] != white
    recipe["data"]["spacing"] = 1.0
    half = terms["gradient"]
    method.extra = extra_losses(recipe)
    torch.testing.assert_close(method.losses(batch, 0)["generator"]["gradient"], 2 * half)
