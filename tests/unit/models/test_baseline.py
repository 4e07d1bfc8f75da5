"""Classical GANs on the data of any recipe."""

from copy import deepcopy

import pytest
import torch
from head_map import save_head_map

from bids_gan.cli.model import main
from bids_gan.errors import UsageError
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.baseline import BASELINES, baseline_of
from bids_gan.models.data import Folders, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe

RELEASED = ("t1w-to-fa", "t1w-to-t2w", "t1w-to-fdg", "t1w-to-ct")


@pytest.mark.parametrize("method", BASELINES)
@pytest.mark.parametrize("name", RELEASED)
def test_same_people_and_target_new_weights_and_the_image_alone(name, method):
    recipe = read_recipe(name)
    before = deepcopy(recipe)
    baseline = baseline_of(recipe, method)
    assert recipe == before
    for key in ("target", "output", "people", "label_maps", "simulation"):
        assert baseline.get(key) == recipe.get(key), key
    assert baseline["data"].get("pairs_share") == recipe["data"].get("pairs_share")
    assert "start" not in baseline
    assert baseline["inputs"] == recipe["inputs"][:1]
    network = build_network(baseline["network"])
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(8.55e6, rel=1e-3)
    assert f"train {name}" in baseline["card"]["Reproduce"]
    assert baseline["card"]["Reproduce"].endswith(f"--baseline {method}")


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    for person in ("01", "02"):
        save_head_map(folder, f"training_seg_{person}.nii.gz")
    return folder


@pytest.mark.parametrize("name", ["t1w-to-fdg", "t1w-to-ct"])
def test_simulated_pairs_are_apart_for_cyclegan_alone(name, label_maps, tmp_path):
    recipe = read_recipe(name)
    recipe["label_maps"] = {"train": ["01"], "validation": ["02"], "test": []}
    folders = Folders(label_maps=label_maps)
    for method in BASELINES:
        baseline = baseline_of(recipe, method)
        baseline["network"] |= {"base": 2, "blocks": 1}
        baseline["adversarial"] = {"base": 2}
        batches, validation = training_data(baseline, folders, tmp_path)
        batch = batches(0)
        assert batch["input"].shape == batch["target"].shape == (1, 1, 48, 48, 48)
        assert ("target_mask" in batch) == (method == "cyclegan")
        learner = make_method(build_network(baseline["network"]), baseline)
        for terms in learner.losses(batch, 0).values():
            assert all(map(torch.isfinite, terms.values()))
        assert {"input", "target", "mask"} <= set(next(iter(validation())))
    pairs, _ = training_data(baseline_of(recipe, "pix2pix"), folders, tmp_path)
    apart, _ = training_data(baseline_of(recipe, "cyclegan"), folders, tmp_path)
    assert torch.equal(pairs(3)["input"], apart(3)["input"])
    assert not torch.equal(pairs(3)["target"], apart(3)["target"])


def test_a_recipe_that_makes_no_image_has_none(tmp_path, capsys):
    with pytest.raises(UsageError, match=r"anatomy: method segmentation has no CycleGAN"):
        baseline_of(read_recipe("anatomy"), "cyclegan")
    command = ["train", "anatomy", "--baseline", "pix2pix", "--output", str(tmp_path / "run")]
    assert main(command) == 2
    assert "segmentation" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
