"""Recipes become models; what is wrong with one is said before anything is trained."""

import csv
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from bids_gan.errors import UsageError
from bids_gan.models.data import Folders
from bids_gan.models.recipe import read_recipe, run_recipe


def test_card_says_how_it_was_made(tmp_path, recipe, tiny_pairs):
    card = run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path, steps=4)
    assert card.text["Steps"] == 4
    assert card.text["Recipe"]["training"]["steps"] == 4
    assert card.text["Recipe"]["data"] == {"patch": 16, "batch": 2}
    assert "card" not in card.text["Recipe"]
    assert not list(tmp_path.glob("*.part"))


def test_card_of_a_run_by_the_clock_tells_the_steps_it_had(tmp_path, recipe, tiny_pairs):
    card = run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path, steps=1000, minutes=0.05)
    with (tmp_path / "log.csv").open() as stream:
        assert card.text["Steps"] == int(list(csv.DictReader(stream))[-1]["step"]) > 0
    assert card.text["Minutes"] == 0.05
    assert card.text["Steps"] != 1000


def test_a_run_begins_with_the_weights_it_is_told(tmp_path, recipe, tiny_pairs):
    folders = Folders(pairs=tiny_pairs)
    recipe["training"]["learning_rate"] = 1e-9
    parent = run_recipe({**recipe, "seed": 99}, folders, tmp_path / "parent", steps=1)
    child = run_recipe(recipe, folders, tmp_path / "child", steps=1, start=str(parent.path))
    assert child.text["Start"] == parent.identity
    old, new = (load_file(card.weights)["head.weight"] for card in (parent, child))
    assert torch.equal(old, new)


def test_volumes_are_kept_in_the_run(tmp_path, recipe, tiny_pairs):
    run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path, steps=2)
    people = recipe["people"]
    assert len(list(tmp_path.glob("cache/*.npy"))) == len(people["train"] + people["validation"])


def test_unknown_setting_is_named(tmp_path, recipe, tiny_pairs):
    recipe["training"]["checkpoints"] = 3
    with pytest.raises(UsageError, match=r"recipe tiny, \[training\]: .*checkpoints"):
        run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path)


@pytest.mark.parametrize("key", ["range", "reference"])
def test_unknown_output_is_named(tmp_path, recipe, tiny_pairs, key):
    recipe["output"] = {"range": "fraction", key: "pons"}
    with pytest.raises(UsageError, match=rf"\[output\]: {key} = 'pons'; accepted are \w+"):
        run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path)


def test_folder_of_another_recipe_is_not_resumed(tmp_path, recipe, tiny_pairs):
    folders = Folders(pairs=tiny_pairs)
    run_recipe(recipe, folders, tmp_path, steps=2)
    # a run may be made longer
    assert run_recipe(recipe, folders, tmp_path, steps=3).text["Steps"] == 3
    with pytest.raises(UsageError, match=r"data differs from recipe\.json"):
        run_recipe({**recipe, "data": {"patch": 32, "batch": 2}}, folders, tmp_path)


@pytest.mark.parametrize("content", [b"name = ", b"name = " + b"[" * 2000, b"name = '\xff'"])
def test_recipe_that_is_no_toml(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"mine\.toml: not valid TOML"):
        read_recipe(str(path))


TOML = """
name = "tiny"
method = "paired"
target = "FA"
inputs = ["T1w", "position"]
seed = 3
[network]
in_channels = 4
out_channels = 2
widths = [16, 16]
[output]
range = "fraction"
[data]
patch = 16
batch = 2
[people]
train = ["01", "02"]
validation = ["03"]
[training]
steps = 4
freeze_statistics = 2
validate_every = 1
preview_every = 0
precision = "fp32"
workers = 0
"""


def test_by_torchrun_in_two_processes(tmp_path, tiny_pairs):
    """The launcher and the command line; the arithmetic is tested in ``gan/test_distributed``."""
    (tmp_path / "tiny.toml").write_text(TOML)
    train = ["bids_gan.cli.model", "train", str(tmp_path / "tiny.toml"), "--device", "cpu"]
    train += ["--data", str(tiny_pairs), "--output"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for start, name in ([sys.executable, "-m"], "one"), (launch, "two"):
        command = [*start, *train, str(tmp_path / name)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    curves = []
    for name in ("one", "two"):
        with (tmp_path / name / "log.csv").open() as stream:
            curves.append([float(row["l1"]) for row in csv.DictReader(stream)])
    # the shares have masks of unequal size, whose means are averaged
    assert curves[0] == pytest.approx(curves[1], rel=0.02)
    weights = load_file(tmp_path / "two" / "tiny.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
