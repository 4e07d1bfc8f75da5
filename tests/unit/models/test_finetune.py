"""Fine-tuning: the chosen layers move, the others do not, and the card names the parent."""

import json

import pytest
import torch
from safetensors.torch import load_file

from bids_gan.cli.model import main
from bids_gan.errors import ModelError, UsageError
from bids_gan.models.data import Folders
from bids_gan.models.finetune import choose_layers, finetune, finetune_recipe
from bids_gan.models.recipe import run_recipe
from bids_gan.models.registry import find_card, load_model, load_network


@pytest.fixture
def parent(tmp_path, recipe, tiny_pairs):
    return run_recipe(recipe, Folders(pairs=tiny_pairs), tmp_path / "parent")


def tune(parent, pairs, folder, people=("03",), **options):
    recipe = finetune_recipe(parent, people, steps=4, learning_rate=0.01, **options)
    recipe["training"] |= {"workers": 0}
    return finetune(parent, pairs, folder, recipe)


@pytest.mark.parametrize(
    ("layers", "moved"),
    [
        ("all", {"stem", "down", "up", "head"}),
        ("decoder", {"up", "head"}),
        ("head", {"head"}),
    ],
)
def test_only_the_chosen_layers_move(tmp_path, parent, tiny_pairs, layers, moved):
    card = tune(parent, tiny_pairs, tmp_path / "run", layers=layers)
    before, after = load_file(parent.weights), load_file(card.weights)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.split(".")[0] for key in changed} == moved
    assert not any("running" in key for key in changed)


def test_statistics_are_those_of_the_new_people(tmp_path, parent, tiny_pairs):
    card = tune(parent, tiny_pairs, tmp_path / "run", layers="statistics")
    before, after = load_file(parent.weights), load_file(card.weights)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {"stem.0.1.running_mean", "stem.0.1.running_var", "stem.0.1.weight"} <= changed
    assert not any(value.ndim == 5 for key, value in before.items() if key in changed)


def test_card_names_parent_people_and_layers(tmp_path, parent, tiny_pairs):
    card = tune(parent, tiny_pairs, tmp_path / "run", people=("01", "03"), layers="head")
    text = card.text
    assert card.name == "tiny-finetuned"
    assert text["Parent"] == {
        "Name": "tiny",
        "Version": parent.version,
        "WeightsSHA256": parent.sha256,
    }
    assert text["People"] == {"train": ["01", "03"], "validation": [], "test": []}
    assert (text["Layers"], text["Steps"]) == ("head", 4)
    assert text["RangeSeen"]["grey_mean"][0] == pytest.approx(0.7)
    assert text["RangePeople"] == 2
    assert text["Targets"].startswith("pseudo-targets; its parent's:")
    assert "Metrics" not in text  # the parent's do not hold any more
    assert text["WeightsSHA256"] == card.sha256 != parent.sha256
    load_model(card)
    # and a model that was fine-tuned can be so again
    again = finetune_recipe(card, ["02"])
    assert again["parent"]["Name"] == "tiny-finetuned"


def test_unfolded_network_is_what_was_trained(parent):
    x = torch.rand(1, 4, 16, 16, 16)
    raw, folded = load_network(parent), load_model(parent).network
    assert "stem.0.1.running_mean" in raw.state_dict()
    assert "stem.0.1.running_mean" not in folded.state_dict()
    with torch.no_grad():
        torch.testing.assert_close(raw.eval()(x), folded(x), rtol=1e-4, atol=1e-5)


def test_command(tmp_path, parent, tiny_pairs, capsys):
    run = tmp_path / "run"
    arguments = ["finetune", str(parent.weights), "--data", str(tiny_pairs), "--people", "01"]
    arguments += ["--validation", "03", "--layers", "head", "--steps", "2", "--device", "cpu"]
    assert main([*arguments, "--output", str(run)]) == 0
    card = find_card(str(run / "tiny-finetuned.safetensors"))
    assert card.text["People"]["validation"] == ["03"]
    assert str(card.weights) in capsys.readouterr().out
    # more people are another run
    arguments[arguments.index("01")] = "02"
    assert main([*arguments, "--output", str(run)]) == 2
    assert "people differs from recipe.json" in capsys.readouterr().err


def test_model_that_does_not_learn_from_pairs():
    with pytest.raises(UsageError, match="method segmentation"):
        finetune_recipe(find_card("anatomy"), ["01"])


def test_card_without_a_recipe(parent):
    text = json.loads(parent.path.read_text())
    del text["Recipe"]
    parent.path.write_text(json.dumps(text))
    with pytest.raises(ModelError, match="no Recipe in this card"):
        finetune_recipe(find_card(str(parent.path)), ["01"])


def test_layers_that_do_not_exist(parent):
    with pytest.raises(UsageError, match="accepted are all, decoder, head, statistics"):
        choose_layers(load_network(parent), "neck")
    with pytest.raises(UsageError, match="has none"):
        choose_layers(torch.nn.Linear(1, 1), "head")
