"""The loop: it learns, it resumes exactly, it refuses to go on with NaN."""

import pytest
import torch

from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.loop import TrainingSettings, train


def make_method(seed=0, critic=False):
    torch.manual_seed(seed)
    discriminator = PatchDiscriminator(2, base=4, layers=1) if critic else None
    network = SpaceToDepthUNet(1, 2, (16, 16))
    return Paired(network, discriminator, 0.01, 3, learning_rate=3e-3)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(2, 1, 4, 4, 4, generator=generator)
    x = torch.nn.functional.interpolate(coarse, size=(16, 16, 16), mode="trilinear")
    return {"input": x, "target": 1 - x, "mask": torch.ones_like(x)}


def validation():
    return [batch(10_000)]


def settings(steps, **changes):
    values = {"steps": steps, "freeze_statistics": 20, "warmup": 3, "validate_every": 5}
    return TrainingSettings(**{**values, "precision": "fp32", "workers": 0, **changes})


def test_learns_a_simple_mapping(tmp_path):
    method = make_method()
    start = method.score(method.generator.eval(), batch(10_000))["l1"]
    average = train(method, batch, validation, tmp_path, settings(100, average_decay=0.9))
    assert method.score(average, batch(10_000))["l1"] < 0.4 * start
    assert (tmp_path / "log.csv").read_text().count("\n") == 21


def test_resumed_run_gives_the_same_weights(tmp_path):
    whole = train(make_method(critic=True), batch, validation, tmp_path / "a", settings(10))

    class KilledError(Exception):
        pass

    def until_seven(step):
        if step == 7:
            raise KilledError
        return batch(step)

    with pytest.raises(KilledError):
        train(make_method(critic=True), until_seven, validation, tmp_path / "b", settings(10))
    other = make_method(seed=1, critic=True)  # what it starts from must not matter
    resumed = train(other, batch, validation, tmp_path / "b", settings(10))
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_stops_at_nan(tmp_path):
    def broken(step):
        return {**batch(step), "target": torch.full((2, 1, 16, 16, 16), float("nan"))}

    with pytest.raises(FloatingPointError, match="step 0"):
        train(make_method(), broken, validation, tmp_path, settings(5))


def test_batches_prepared_in_another_process_are_the_same(tmp_path):
    here = train(make_method(), batch, validation, tmp_path / "a", settings(6))
    there = train(make_method(), batch, validation, tmp_path / "b", settings(6, workers=2))
    for a, b in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        assert torch.equal(a, b)
