"""Estimators that were trained apart become one, which is unsure where they disagree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_gan.cli.model import main
from bids_gan.gan.inference import run_network
from bids_gan.gan.methods.displacement import displacement_heads
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.registry import find_card, load_model, save_model

NETWORK = {
    "kind": "matching-unet", "in_channels": 9, "out_channels": 5, "widths": [8, 8], "passes": 2,
}  # fmt: skip


def saved(folder, seed: int, **changes):
    """A model with random weights."""
    torch.manual_seed(seed)
    card = {"Name": f"m{seed}", "Version": "1", "Target": "displacement", "Inputs": ["b0"]}
    card |= {"Network": NETWORK, "Units": "mm", "Seed": seed} | changes
    network = build_network(card["Network"])
    if "members" not in card["Network"]:
        torch.nn.init.normal_(network.head.weight, std=0.5)
    return save_model(network, folder / f"m{seed}.safetensors", card)


def test_a_committee_says_the_mean_and_is_as_unsure_as_its_members_are_apart(tmp_path):
    cards = [saved(tmp_path, seed) for seed in (1, 2, 3)]
    out = tmp_path / "all.safetensors"
    assert main(["join", *(str(card.weights) for card in cards), "--output", str(out)]) == 0
    images = np.random.default_rng(0).random((9, 16, 16, 16), np.float32)

    def told(card):
        raw = run_network(load_model(card).network, images, "fp32")
        return [part[0].numpy() for part in displacement_heads(raw[None])]

    mm, log_variance, apart = told(find_card(str(out)))
    each = [told(card) for card in cards]
    means, logs, moves = (np.stack(parts) for parts in zip(*each, strict=True))
    assert means.std(axis=0).mean() > 0.05  # they do disagree
    np.testing.assert_allclose(mm, means.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(apart, moves.mean(axis=0), atol=1e-4)
    # law of total variance
    total = np.exp(logs).mean(axis=0) + means.var(axis=0)
    np.testing.assert_allclose(np.exp(log_variance), total, rtol=1e-3)


def test_its_card_tells_what_members_share_and_each_of_them(tmp_path):
    cards = [saved(tmp_path, seed) for seed in (1, 2)]
    out = tmp_path / "both.safetensors"
    main(["join", *(str(card.weights) for card in cards), "--output", str(out)])
    text = find_card(str(out)).text
    assert text["Name"] == "both"
    assert text["Units"] == "mm"
    assert text["Network"] == NETWORK | {"members": 2}
    assert [member["Seed"] for member in text["Members"]] == [1, 2]
    assert [member["WeightsSHA256"] for member in text["Members"]] == [c.sha256 for c in cards]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Network": NETWORK | {"widths": [8, 16]}}, "another network than"),
        ({"Inputs": ["b0", "FA"]}, "another network than"),
        ({"Target": "FA"}, "tell a displacement"),
        ({"Network": NETWORK | {"members": 2}}, "single networks"),
        (None, "two members at least"),
    ],
)
def test_what_cannot_be_joined_is_named_and_nothing_written(tmp_path, capsys, changes, said):
    cards = [saved(tmp_path, 1)]
    if changes is not None:
        cards.append(saved(tmp_path, 2, **changes))
    out = tmp_path / "out" / "both.safetensors"
    assert main(["join", *(str(card.weights) for card in cards), "--output", str(out)]) != 0
    error = capsys.readouterr().err
    assert said in error
    assert str(cards[-1].path) in error
    assert not out.parent.exists()
