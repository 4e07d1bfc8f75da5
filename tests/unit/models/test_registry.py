"""Released models: found, checked, loaded; a damaged one is refused by name."""

import json
from dataclasses import replace

import pytest
import torch

from bids_gan.errors import ModelError
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.models import registry


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    network = SpaceToDepthUNet(1, 2, (16, 16)).eval()
    card = registry.save_model(
        network,
        tmp_path / "mine.safetensors",
        {
            "Name": "mine",
            "Version": "1",
            "Target": "FA",
            "Inputs": ["T1w"],
            "Network": {"in_channels": 1, "out_channels": 2, "widths": [16, 16]},
        },
    )
    return network, card


def test_round_trip(saved):
    network, card = saved
    x = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        loaded = registry.load_model(registry.find_card(str(card.weights))).network(x)
        # weights are stored as bfloat16
        torch.testing.assert_close(loaded, network(x), rtol=0.05, atol=0.05)


def test_whoever_may_read_the_card_may_read_the_weights(saved):
    _, card = saved
    assert card.weights.stat().st_mode == card.path.stat().st_mode


def test_altered_weights_are_refused_with_both_checksums(saved):
    _, card = saved
    data = bytearray(card.weights.read_bytes())
    data[-1] ^= 1
    card.weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"mine\.safetensors") as error:
        registry.load_model(card)
    assert card.sha256 in str(error.value)
    assert registry.file_sha256(card.weights) in str(error.value)
    assert error.value.exit_code == 69


def test_missing_weights_are_named(saved):
    _, card = saved
    card.weights.unlink()
    with pytest.raises(ModelError, match=r"mine\.safetensors"):
        registry.load_model(card)


def test_weights_of_another_network_are_refused(saved):
    _, card = saved
    path = card.weights.with_suffix(".json")
    text = json.loads(path.read_text())
    text["Network"]["widths"] = [16, 32]
    path.write_text(json.dumps(text))
    with pytest.raises(ModelError, match="does not fit its card"):
        registry.load_model(registry.read_card(path))


@pytest.mark.parametrize("text", ["[]", "[" * 2000, '{"a": 1}'])
def test_card_that_is_none(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"x\.json"):
        registry.read_card(path)


@pytest.mark.parametrize(("key", "value"), [("Network", "unet"), ("Name", 3), ("Inputs", 3)])
def test_card_with_a_value_of_a_wrong_type(saved, key, value):
    _, card = saved
    path = card.weights.with_suffix(".json")
    path.write_text(json.dumps({**card.text, key: value}))
    with pytest.raises(ModelError, match=f"{key} of a wrong type"):
        registry.read_card(path)


def test_weights_that_are_none_though_the_checksum_agrees(saved):
    _, card = saved
    card.weights.write_bytes(b"no tensors")
    changed = replace(card, sha256=registry.file_sha256(card.weights))
    with pytest.raises(ModelError, match="does not fit its card"):
        registry.load_network(changed)


def test_unknown_name_lists_what_exists():
    with pytest.raises(ModelError, match=r"anatomy, .*t1w-to-fa"):
        registry.find_card("t1w-to-moon")


def test_users_model_comes_before_the_released_one(saved):
    _, card = saved
    assert registry.card_for_target("FA", (str(card.weights),)).name == "mine"
    assert registry.card_for_target("FA").name == "t1w-to-fa"


@pytest.mark.parametrize("card", registry.released_cards(), ids=lambda c: c.name)
def test_released_models_are_whole(card):
    assert card.weights.stat().st_size <= 10 * 2**20
    registry.load_model(card)
    assert {"Description", "Targets", "Data", "IntendedUse", "KnownFailures", "Reproduce"} <= set(
        card.text
    )
