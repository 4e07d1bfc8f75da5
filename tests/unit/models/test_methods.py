"""Every recipe of the package builds; those for many contrasts train on label maps."""

from copy import deepcopy

import nibabel as nib
import numpy as np
import pytest
import torch

from bids_gan.errors import UsageError
from bids_gan.gan.networks.dense_discriminator import DenseDiscriminator
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.models.data import Folders, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import FOLDER, read_recipe, run_recipe
from bids_gan.models.registry import load_network

NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
SMALL = {
    "pix2pix": ({"base": 2, "blocks": 1}, {"base": 2}),
    "cyclegan": ({"base": 2, "blocks": 1}, {"base": 2}),
    "unit": ({"base": 2, "blocks": 2}, {"base": 2, "layers": 2, "scales": 2}),
    "stargan": ({"width": 4, "levels": 4}, {"base": 2}),
    "collagan": ({"widths": [8, 8]}, {"base": 2, "layers": 1, "start": 1}),
    "constrained-autoencoder": ({"size": 16, "latent": 4, "widths": [4, 4]}, {"width": 4}),
    "progressive": ({"latent": 4, "widths": [4, 4, 4]}, {}),
    "lesion-classifier": ({"widths": [4, 4]}, {}),
    "dual-stage": (
        {"latent": 4, "widths": [4, 4, 4], "image_widths": [4, 4]}, {"base": 2, "layers": 1},
    ),
}  # fmt: skip
#: method -> edge of its patches, if it is not 16; PatchGAN needs room
PATCHES = {"pix2pix": 24, "cyclegan": 24}
#: method -> a number of its validation, if it is not l1
NUMBERS = {"progressive": "diversity", "lesion-classifier": "accuracy"}


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory):
    """One head, a box of white matter in cortex, under the names of two people."""
    folder = tmp_path_factory.mktemp("maps")
    labels = np.zeros((36, 36, 36), np.int16)
    labels[4:32, 4:32, 4:32] = 3
    labels[8:28, 8:28, 8:28] = 2
    for person in ("01", "02"):
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / f"training_seg_{person}.nii.gz")
    return folder


def small(name):
    """A recipe of the package, cut down to two steps of a tiny network."""
    recipe = deepcopy(read_recipe(name))
    network, adversarial = SMALL[name]
    recipe["network"] |= network
    recipe.setdefault("adversarial", {}).update(adversarial)
    recipe["training"].pop("minutes", None)
    recipe["data"] |= {"patch": PATCHES.get(name, 16), "batch": 2}
    recipe["label_maps"] = {"train": ["01"], "validation": ["02"], "test": ["02"]}
    recipe["training"] |= {
        "steps": 2, "warmup": 1, "validate_every": 2, "precision": "fp32", "workers": 0,
    }  # fmt: skip
    return recipe


@pytest.mark.parametrize("name", NAMES)
def test_recipe_builds(name):
    recipe = read_recipe(name)
    method = make_method(build_network(recipe["network"]), recipe)
    assert recipe["name"] == name
    assert set(method.optimisers) == set(method.modules)
    people = recipe.get("label_maps", recipe.get("people"))
    assert not set(people["train"]) & {*people["validation"], *people["test"]}


def test_unknown_method_and_setting_are_named():
    recipe = read_recipe("stargan")
    network = build_network(recipe["network"])
    with pytest.raises(
        UsageError, match=r"unknown method 'gan'.*are segmentation, classification"
    ):
        make_method(network, {**recipe, "method": "gan"})
    with pytest.raises(UsageError, match=r"recipe stargan, \[adversarial\]: .*depth"):
        make_method(network, {**recipe, "adversarial": {"base": 4, "depth": 2}})
    with pytest.raises(UsageError, match="method stargan takes none"):
        make_method(network, {**recipe, "losses": {"gradient": 1.0}})


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "space-to-depth-unet", "widths": [8, 8]},
        {"kind": "resnet", "base": 2, "blocks": 1},
    ],
)
def test_pix2pix_has_either_generator(network, label_maps, tmp_path):
    recipe = small("pix2pix")
    recipe["network"] = {"in_channels": 1, "out_channels": 1, **network}
    card = run_recipe(recipe, Folders(label_maps=label_maps), tmp_path, steps=1)
    assert card.network["kind"] == network["kind"]


def test_choices_of_cyclegan_are_those_of_the_recipe(label_maps, tmp_path):
    recipe = small("cyclegan")
    recipe["adversarial"] |= {"output": "dense", "layers": 2}
    recipe["options"] = {
        "objective": "cross-entropy", "identity_weight": 5.0, "cycle_weight": 20, "pool": 7,
    }  # fmt: skip
    method = make_method(build_network(recipe["network"]), recipe)
    assert isinstance(method.modules["critic_target"], DenseDiscriminator)
    assert method.modules["critic_source"](torch.zeros(2, 1, 24, 24, 24)).shape == (2, 1)
    assert (method.objective, method.cycle_weight) == ("cross-entropy", 20)
    assert method.state["pool_target"].capacity == 7
    run_recipe(recipe, Folders(label_maps=label_maps), tmp_path, steps=1)
    header = (tmp_path / "log.csv").read_text().split()[0]
    assert "identity_target" in header
    plain = make_method(build_network(recipe["network"]), small("cyclegan"))
    assert isinstance(plain.modules["critic_target"], PatchDiscriminator)
    assert plain.state["pool_target"].capacity == 50


@pytest.mark.parametrize(
    ("table", "choice", "reason"),
    [
        ("options", {"pol": 3}, r"\[options\]: method cyclegan has no pol; it has cycle_weight"),
        ("options", {"tile": 32}, r"\[options\]: method cyclegan has no tile"),
        ("options", {"pool": 0.5}, r"\[options\]: pool = 0.5, int is needed"),
        ("options", {"pool": True}, r"\[options\]: pool = True, int is needed"),
        ("options", {"objective": "log"}, r"\[options\]: objective 'log': accepted are least-sq"),
        (
            "adversarial",
            {"output": "pixel"},
            r"\[adversarial\]: output = 'pixel', accepted are p",
        ),
        ("adversarial", {"bass": 3}, r"\[adversarial\]: .*bass"),
        ("adversarial", {"output": "dense", "layers": 5}, r"\[adversarial\]: size 24: 5 layers"),
    ],
)
def test_choice_that_cannot_be_is_refused(table, choice, reason):
    recipe = small("cyclegan")
    recipe.setdefault(table, {}).update(choice)
    with pytest.raises(UsageError, match=f"recipe cyclegan, {reason}"):
        make_method(build_network(recipe["network"]), recipe)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_recipe_trains_and_its_card_gives_the_network_back(name, dimensions, label_maps, tmp_path):
    recipe = small(name)
    recipe["network"]["dimensions"] = dimensions
    card = run_recipe(recipe, Folders(label_maps=label_maps), tmp_path)
    header, row = (line.split(",") for line in (tmp_path / "log.csv").read_text().split())
    numbers = dict(zip(header, row, strict=True))
    assert numbers["step"] == "2"
    assert np.isfinite(float(numbers[f"validation_{NUMBERS.get(name, 'l1')}"]))
    assert card.network["kind"] == recipe["network"]["kind"]
    kernels = {w.dim() - 2 for w in load_network(card).parameters() if w.dim() > 2}
    assert kernels == {dimensions}


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_classes_and_physics_of_simulated_people_reach_the_losses(name, label_maps, tmp_path):
    folders = Folders(label_maps=label_maps)
    classifier = run_recipe(small("lesion-classifier"), folders, tmp_path / "classifier")
    recipe = small(name)
    recipe["simulation"] = {"contrasts": ["T1w", "b0"], "lesions": 0.5, "epi_shift_mm": 8.0}
    recipe["losses"] = {
        "classification": {"weight": 0.1, "model": str(classifier.weights)}, "physical": 1.0,
    }  # fmt: skip
    run_recipe(recipe, folders, tmp_path / "run")
    header, row = (line.split(",") for line in (tmp_path / "run/log.csv").read_text().split())
    values = dict(zip(header, row, strict=True))
    assert float(values["classification"]) > 0
    assert float(values["physical"]) > 0


def test_class_is_that_of_the_slice_where_slices_are_seen(label_maps, tmp_path):
    recipe = small("lesion-classifier")
    recipe["data"] |= {"patch": 16, "batch": 12}
    folders = Folders(label_maps=label_maps)
    volumes, slices = (
        training_data({**recipe, "network": {"dimensions": d}}, folders, tmp_path)[0](0)
        for d in (3, 2)
    )
    for batch in (volumes, slices):
        assert torch.equal(batch["classes"], batch["lesion"].flatten(1).any(1).long())
    assert 0 < slices["classes"].sum() < volumes["classes"].sum() < 12
    recipe["simulation"]["lesions"] = 0
    with pytest.raises(UsageError, match="recipe lesion-classifier: no image is known to show"):
        training_data(recipe, folders, tmp_path)


@pytest.mark.parametrize("name", ["progressive", "dual-stage"])
def test_fewer_people_than_a_batch_has_are_refused(name, label_maps, tmp_path):
    recipe = small(name)
    recipe["data"] |= {"people": 3, "batch": 4}
    with pytest.raises(UsageError, match=r"\[data\]: people = 3, .* batch = 4 and more, or 0"):
        run_recipe(recipe, Folders(label_maps=label_maps), tmp_path / "run")


def test_people_of_the_validation_have_lesions(label_maps, tmp_path):
    recipe = small("constrained-autoencoder")
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    assert "lesion" not in batches(0)
    assert sum(float(batch["lesion"].sum()) for batch in validation()) > 0
