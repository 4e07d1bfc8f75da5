"""2.5D: slices with their neighbours, from the recipe to the image of a whole volume."""

import numpy as np
import pytest
import torch

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.errors import UsageError
from bids_gan.gan.inference import run_network
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.slices import with_neighbours
from bids_gan.models.data import Folders, training_data
from bids_gan.models.memory import plan_inference, plan_training
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import run_recipe
from bids_gan.models.registry import load_model, load_network
from bids_gan.models.tiling import tile_model
from bids_gan.synthesis.generate import generator_input, image_of, synthesise

NEIGHBOURS = 2


@pytest.fixture
def flat(recipe):
    """The tiny recipe, of slices with two neighbours to either side."""
    recipe["network"] |= {"dimensions": 2, "neighbours": NEIGHBOURS}
    return recipe


@pytest.fixture
def pix2pix(flat):
    resnet = {"kind": "resnet", "base": 2, "blocks": 1, "out_channels": 1}
    network = {**resnet, "in_channels": 4, "dimensions": 2, "neighbours": NEIGHBOURS}
    return flat | {
        "method": "pix2pix",
        "network": network,
        "adversarial": {"base": 2, "layers": 1},
    }


@pytest.fixture
def anatomy():
    t1w = np.random.default_rng(0).uniform(0.2, 1, (20, 18, 12)).astype(np.float32)
    nothing = np.zeros(t1w.shape, np.uint8)
    return Anatomy(t1w, t1w > 0, nothing, nothing, t1w, np.eye(4), np.eye(4))


def test_training_shows_the_middle_slice_with_its_neighbours(flat, tiny_pairs, tmp_path):
    def first(**network):
        recipe = flat | {"network": flat["network"] | network}
        return training_data(recipe, Folders(pairs=tiny_pairs), tmp_path)[0](0)

    seen, whole = first(), first(dimensions=3)
    assert seen["input"].shape == (2, 4 * 5, 16, 16)
    assert torch.equal(seen["input"], with_neighbours(whole["input"], NEIGHBOURS)[..., 8])
    assert torch.equal(seen["input"][:, :4], whole["input"][..., 8])
    assert torch.equal(seen["target"], whole["target"][..., 8])


def test_a_model_of_slices_makes_whole_volumes(flat, tiny_pairs, tmp_path, anatomy):
    card = run_recipe(flat, Folders(pairs=tiny_pairs), tmp_path)
    assert card.network["neighbours"] == NEIGHBOURS
    image = synthesise(anatomy, load_model(card), precision="fp32").mean
    channels, mask, _ = generator_input(anatomy, card.inputs)
    network = load_network(card).eval()
    raw = run_network(network, channels, "fp32", neighbours=NEIGHBOURS)
    np.testing.assert_allclose(
        image[mask], image_of(raw, {"range": "fraction"})[0][mask], atol=1e-4
    )
    assert image.shape == anatomy.t1w.shape
    whole, tiles = tile_model(str(card.weights), anatomy, [16], [0.5], precision="fp32")
    assert (whole.tile, tiles.tile) == (None, 16)
    assert 0 <= tiles.difference < 0.5


def test_pix2pix_judges_the_slice_itself_and_is_run_in_squares(
    pix2pix, tiny_pairs, tmp_path, anatomy
):
    folders = Folders(pairs=tiny_pairs)
    card = run_recipe(pix2pix, folders, tmp_path, steps=2)
    image = synthesise(anatomy, load_model(card), precision="fp32").mean
    assert np.isfinite(image).all()
    assert image.any(axis=(0, 1)).all()
    method = make_method(build_network(pix2pix["network"]), pix2pix)
    batch = training_data(pix2pix, folders, tmp_path)[0](0)
    conditions = []
    method.modules["discriminator"].register_forward_pre_hook(
        lambda module, x: conditions.append(x[0][:, 0])
    )
    method.losses(batch, 0)
    assert all(torch.equal(condition, batch["input"][:, 0]) for condition in conditions)


def test_memory_of_slices_with_neighbours_is_planned(flat):
    assert plan_inference(flat, (16, 16, 12), "fp32").parts["input"] == 4 * 16 * 16 * 12 * 4
    assert plan_training(flat, 16, 2, "fp32").peak > 0


def test_method_that_translates_its_own_images_has_no_neighbours(flat):
    flat["network"] |= {"in_channels": 1, "out_channels": 1}
    flat |= {"method": "cyclegan", "inputs": ["T1w"], "adversarial": {"base": 2}}
    with pytest.raises(
        UsageError, match=r"tiny, \[network\]: method cyclegan shows .* single slices"
    ):
        make_method(build_network(flat["network"]), flat)
