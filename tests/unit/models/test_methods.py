"""Every recipe of the package builds; those for many contrasts train on label maps."""

from copy import deepcopy

import nibabel as nib
import numpy as np
import pytest

from bids_gan.errors import UsageError
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.data import Folders, training_data
from bids_gan.models.methods import METHODS, make_method
from bids_gan.models.recipe import FOLDER, read_recipe, run_recipe

NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
SMALL = {
    "pix2pix": ({"base": 2, "blocks": 1}, {"base": 2}),
    "cyclegan": ({"base": 2, "blocks": 1}, {"base": 2}),
    "unit": ({"base": 2, "blocks": 2}, {"base": 2, "layers": 2, "scales": 2}),
    "stargan": ({"base": 2, "blocks": 1}, {"base": 2, "layers": 1}),
    "collagan": ({"widths": [8, 8]}, {"base": 2, "layers": 1, "start": 1}),
    "constrained-autoencoder": ({"size": 16, "latent": 4, "widths": [4, 4]}, {"width": 4}),
    "progressive": ({"latent": 4, "widths": [4, 4, 4]}, {}),
    "dual-stage": (
        {"latent": 4, "widths": [4, 4, 4], "image_widths": [4, 4]}, {"base": 2, "layers": 1},
    ),
}  # fmt: skip
#: method -> edge of its patches, if it is not 16; PatchGAN needs room
PATCHES = {"pix2pix": 24, "cyclegan": 24}
#: method -> a number of its validation, if it is not l1
NUMBERS = {"progressive": "diversity"}


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
    with pytest.raises(UsageError, match=r"unknown method 'gan'.*there are segmentation, paired"):
        make_method(network, {**recipe, "method": "gan"})
    with pytest.raises(UsageError, match=r"recipe stargan, \[adversarial\]: .*depth"):
        make_method(network, {**recipe, "adversarial": {"base": 4, "depth": 2}})
    with pytest.raises(UsageError, match="method stargan takes none"):
        make_method(network, {**recipe, "losses": {"gradient": 1.0}})
    assert set(SMALL) < set(METHODS)


@pytest.mark.parametrize("name", SMALL)
def test_recipe_trains_and_its_card_gives_the_network_back(name, label_maps, tmp_path):
    card = run_recipe(small(name), Folders(label_maps=label_maps), tmp_path)
    header, row = (tmp_path / "log.csv").read_text().split()
    assert f"validation_{NUMBERS.get(name, 'l1')}" in header
    assert row.startswith("2,")
    assert card.network["kind"] == small(name)["network"]["kind"]


@pytest.mark.parametrize("name", SMALL)
def test_slices_in_place_of_volumes(name, label_maps, tmp_path):
    recipe = small(name)
    recipe["network"]["dimensions"] = 2
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    method = make_method(build_network(recipe["network"]), recipe)
    losses = method.losses(batches(0), 0)
    assert all(term.isfinite() for terms in losses.values() for term in terms.values())
    scores = method.score(method.modules["generator"].eval(), next(iter(validation())))
    assert np.isfinite(scores[NUMBERS.get(name, "l1")])


def test_people_of_the_validation_have_lesions(label_maps, tmp_path):
    recipe = small("constrained-autoencoder")
    batches, validation = training_data(recipe, Folders(label_maps=label_maps), tmp_path)
    assert "lesion" not in batches(0)
    assert sum(float(batch["lesion"].sum()) for batch in validation()) > 0
