"""Beginning a training with what another network has learnt."""

from __future__ import annotations

import pytest
import torch

from bids_gan.errors import UsageError
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.models.registry import save_model
from bids_gan.models.start import take_weights

WIDTHS = (16, 32)


@pytest.fixture
def parent(tmp_path):
    """A model of one input and eight outputs."""
    torch.manual_seed(1)
    card = {"Name": "parent", "Version": "1", "Target": "anatomy", "Inputs": ["T1w"]}
    card["Network"] = {"in_channels": 1, "out_channels": 8, "widths": list(WIDTHS)}
    network = SpaceToDepthUNet(1, 8, WIDTHS)
    return save_model(network, tmp_path / "parent.safetensors", card), network


def test_new_inputs_change_nothing_at_first_and_the_head_stays_new(parent):
    card, old = parent
    torch.manual_seed(2)
    new = SpaceToDepthUNet(4, 2, WIDTHS)
    head = new.head.weight.clone()
    take_weights(new, card)
    image = torch.rand(1, 1, 16, 16, 16)
    position = torch.rand(1, 3, 16, 16, 16)
    for network in (old, new):
        network.eval()
    features = zip(old.encode(image), new.encode(torch.cat([image, position], 1)), strict=True)
    for before, after in features:
        torch.testing.assert_close(after, before, rtol=0.05, atol=0.02)  # stored as bfloat16
    assert torch.equal(new.head.weight, head)


def test_the_new_inputs_can_be_learnt(parent):
    new = SpaceToDepthUNet(4, 2, WIDTHS)
    take_weights(new, parent[0])
    new(torch.rand(1, 4, 16, 16, 16)).square().mean().backward()
    assert new.stem[0][0].weight.grad[:, 8:].abs().max() > 0


def test_a_network_of_another_kind_is_refused(parent):
    with pytest.raises(UsageError, match=r"parent.json: none of its weights"):
        take_weights(torch.nn.Linear(3, 3), parent[0])
