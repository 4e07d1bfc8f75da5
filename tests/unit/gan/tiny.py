"""A network, data and settings so small that a training step takes milliseconds."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F

from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings


def make_method(seed=0, critic=False):
    torch.manual_seed(seed)
    discriminator = PatchDiscriminator(2, base=4, layers=1) if critic else None
    network = SpaceToDepthUNet(1, 2, (16, 16))
    return Paired(network, discriminator, 0.01, 3, learning_rate=3e-3)


class Pool:
    """Replay pool as CycleGAN keeps one: gives back an earlier image in half of the cases."""

    def __init__(self):
        self.images = []

    def swap(self, image):
        self.images = [*self.images, image.detach().clone()][-4:]
        return self.images[int(torch.randint(len(self.images), ()))]

    def state_dict(self):
        return {"images": self.images}

    def load_state_dict(self, state):
        self.images = state["images"]


class Noisy(Paired):
    """Paired training that also draws noise and keeps a pool, so that both must be resumed."""

    def __init__(self, seed=0):
        made = make_method(seed, critic=True)
        super().__init__(made.generator, made.discriminator, 0.01, 3, learning_rate=3e-3)
        self.pool = Pool()
        self.state = {"pool": self.pool}

    def losses(self, batch, step):
        image = batch["input"] + 0.1 * torch.randn_like(batch["input"])
        image = F.dropout(image, 0.1)
        older = self.pool.swap(image)
        return super().losses({**batch, "input": 0.5 * (image + older)}, step)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(2, 1, 4, 4, 4, generator=generator)
    x = F.interpolate(coarse, size=(16, 16, 16), mode="trilinear")
    ones = torch.ones_like(x)
    return {
        "input": x,
        "target": 1 - x,
        "mask": ones,
        "supervised": ones,
        "thickness": torch.ones(2, dtype=torch.long),
    }


def validation():
    return [batch(10_000)]


def settings(steps, **changes):
    values = {
        "freeze_statistics": 20,
        "warmup": 3,
        "validate_every": 5,
        "checkpoint_every": 5,
        "preview_every": 0,
        "precision": "fp32",
        "workers": 0,
    }
    return TrainingSettings(steps, **{**values, **changes})


def assert_same(a, b):
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def whole_and_resumed(make, batch, folder):
    """Generators of twelve steps in one go, and of twelve that were killed in the seventh.

    Parameters
    ----------
    make : callable
        Seed -> method; the run that goes on begins with other weights, which must not count.
    batch : callable
        Step -> batch.
    folder : Path
    """
    settings = TrainingSettings(
        12, warmup=1, validate_every=100, checkpoint_every=5, preview_every=0,
        precision="fp32", workers=0, average_decay=0.5,
    )  # fmt: skip

    def run(name, batches, seed):
        return train(make(seed), batches, lambda: [batch(99)], folder / name, settings)

    def until_six(step):
        if step == 6:
            raise KeyboardInterrupt
        return batch(step)

    whole = run("whole", batch, 0)
    with contextlib.suppress(KeyboardInterrupt):
        run("killed", until_six, 0)
    return whole, run("killed", batch, 1)
