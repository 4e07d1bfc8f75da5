"""pix2pix and CycleGAN: they learn, they resume exactly, CycleGAN never looks at pairs."""

import math

import numpy as np
import pytest
import torch

from bids_gan.gan.methods.cyclegan import CycleGAN, ReplayPool
from bids_gan.gan.methods.pix2pix import Pix2Pix
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.training.contrasts import unrelated
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.pairs import PairPatches, Person
from bids_gan.gan.training.settings import TrainingSettings

PATCH = 12


def generator():
    return ResNetGenerator(1, 1, base=2, blocks=1)


def make_cyclegan(seed=0, **options):
    torch.manual_seed(seed)
    critics = [PatchDiscriminator(1, base=2, layers=1) for _ in range(2)]
    return CycleGAN(generator(), generator(), *critics, tile=PATCH, **options)


def make_pix2pix(seed=0, **options):
    torch.manual_seed(seed)
    return Pix2Pix(generator(), PatchDiscriminator(2, 2, 1), tile=PATCH, **options)


def batch(step, size=2):
    random = torch.Generator().manual_seed(step)
    coarse = torch.rand(size, 1, 4, 4, 4, generator=random)
    x = torch.nn.functional.interpolate(coarse, size=(PATCH,) * 3, mode="trilinear")
    ones = torch.ones_like(x)
    return {
        "input": x,
        "target": 1 - x,
        "mask": ones,
        "target_mask": ones,
        "supervised": ones,
        "thickness": torch.ones(size, dtype=torch.int64),
    }


def settings(steps):
    return TrainingSettings(
        steps, warmup=2, validate_every=100, checkpoint_every=3, preview_every=0,
        precision="fp32", workers=0, average_decay=0.5,
    )  # fmt: skip


def run(method, folder, steps, batches=batch):
    return train(method, batches, lambda: [batch(10_000, 1)], folder, settings(steps))


def test_pix2pix_learns_an_inversion(tmp_path):
    method = make_pix2pix(learning_rate=5e-3)
    before = method.score(method.modules["generator"], batch(10_000, 1))
    after = method.score(run(method, tmp_path, 40), batch(10_000, 1))
    assert after["l1"] < 0.85 * before["l1"]
    assert after["r"] > before["r"] + 0.3


def test_pix2pix_is_the_published_objective_over_the_weight_of_l1():
    terms = make_pix2pix(l1_weight=1.0).losses(batch(0), 0)["generator"]
    weighted = make_pix2pix(l1_weight=100.0).losses(batch(0), 0)["generator"]
    assert weighted["l1"] == terms["l1"]
    torch.testing.assert_close(100 * weighted["adversarial"], terms["adversarial"])


#: objective -> loss of discriminator and of generator when every score is zero
UNDECIDED = {"least-squares": (0.5, 1.0), "cross-entropy": (2 * math.log(2), math.log(2))}


@pytest.mark.parametrize(("objective", "expected"), UNDECIDED.items())
@pytest.mark.parametrize(
    ("make", "judge", "fool"),
    [(make_pix2pix, "critic", "adversarial"), (make_cyclegan, "judge_target", "fool_target")],
)
def test_objective_is_the_one_chosen(make, judge, fool, objective, expected):
    weight = {"l1_weight" if make is make_pix2pix else "cycle_weight": 1.0}
    method = make(objective=objective, **weight)
    for name, critic in method.modules.items():
        if name != "generator":
            critic.register_forward_hook(lambda *call: 0 * call[-1])
    losses = method.losses(batch(0), 0)
    terms = {name: float(v.detach()) for each in losses.values() for name, v in each.items()}
    assert (terms[judge], terms[fool]) == pytest.approx(expected)


@pytest.mark.parametrize("make", [make_pix2pix, make_cyclegan])
def test_objective_that_needs_a_penalty_is_refused(make):
    with pytest.raises(ValueError, match="'wasserstein': accepted are least-squares, cross-"):
        make(objective="wasserstein")


@pytest.mark.parametrize("make", [make_pix2pix, make_cyclegan])
def test_discriminators_get_no_gradient_from_the_generators(make):
    method = make()
    losses = method.losses(batch(0), 0)
    sum(losses.pop("generator").values()).backward()
    assert all(p.grad is not None for p in method.modules["generator"].parameters())
    for name, terms in losses.items():
        critic = method.modules[name]
        assert all(p.grad is None and p.requires_grad for p in critic.parameters())
        sum(terms.values()).backward()
        assert all(p.grad is not None for p in critic.parameters())


@pytest.mark.parametrize("make", [make_pix2pix, make_cyclegan])
def test_resumed_run_gives_the_same_weights(make, tmp_path):
    """Of CycleGAN with a pool that is full, so that its images and its draws matter."""
    options = {"pool": 3} if make is make_cyclegan else {}

    def until_five(step):
        if step == 5:
            raise KeyboardInterrupt
        return batch(step)

    whole = run(make(**options), tmp_path / "a", 8)
    with pytest.raises(KeyboardInterrupt):
        run(make(**options), tmp_path / "b", 8, until_five)
    resumed = run(make(seed=1, **options), tmp_path / "b", 8)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_cyclegan_does_not_see_which_target_belongs_to_which_source():
    """Targets in another order: the same losses and the same gradients."""
    gradients, values = [], []
    for order in ([0, 1, 2], [2, 0, 1]):
        method, one = make_cyclegan(identity_weight=5.0), batch(0, 3)
        one |= {key: one[key][order] for key in ("target", "target_mask")}
        losses = method.losses(one, 0)
        for terms in losses.values():
            sum(terms.values()).backward()
        values.append(torch.stack([t for terms in losses.values() for t in terms.values()]))
        gradients.append([p.grad for m in method.modules.values() for p in m.parameters()])
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def people(targets):
    """Three people whose T1w is their number, with the targets given."""
    inside = torch.ones(20, 20, 20).half()
    return [
        Person(torch.stack([inside * (n + 1), inside * t, inside, inside]), np.eye(4))
        for n, t in enumerate(targets)
    ]


def shuffled(people):
    """Each target with the T1w of somebody else."""
    return [
        Person(torch.cat([other.volumes[:1], own.volumes[1:]]), own.voxel_to_mni)
        for own, other in zip(people, people[1:] + people[:1], strict=True)
    ]


def patches(people, size, batch, seed=0):
    return PairPatches(people, size, batch, seed, position=False).batch


def unpaired_patches(sources, targets, size, batch):
    return unrelated(patches(sources, size, batch), patches(targets, size, batch, seed=2))


def test_shuffled_pairing_changes_no_weight_of_cyclegan_but_those_of_pix2pix():
    def weights(make, batches):
        method = make(learning_rate=1e-2)
        for step in range(3):
            for name, terms in method.losses(batches(step), step).items():
                method.optimisers[name].zero_grad()
                sum(terms.values()).backward()
                method.optimisers[name].step()
        return [p for m in method.modules.values() for p in m.parameters()]

    true, wrong = people([0.1, 0.5, 0.9]), shuffled(people([0.1, 0.5, 0.9]))
    without = people([0.0, 0.0, 0.0])  # the same T1w, the targets elsewhere
    unpaired = [
        weights(make_cyclegan, unpaired_patches(*sides, PATCH, 2))
        for sides in ((true, true), (without, wrong))
    ]
    paired = [weights(make_pix2pix, patches(pairs, PATCH, 2)) for pairs in (true, wrong)]
    assert all(map(torch.equal, *unpaired))
    assert not any(map(torch.equal, *paired))


def test_shuffled_target_people_give_the_same_training_data():
    """The people of the targets as a set, each with the T1w of somebody else."""
    sources, targets = people([0.1, 0.2, 0.3]), people([0.1, 0.2, 0.3])
    strangers = shuffled(targets)
    blind = people([9.0, 9.0, 9.0])
    for step in range(4):
        want = unpaired_patches(sources, targets, 12, 2)(step)
        for found in (
            unpaired_patches(sources, strangers, 12, 2)(step),
            unpaired_patches(blind, targets, 12, 2)(step),
        ):
            assert all(torch.equal(want[key], found[key]) for key in want)


def test_source_and_target_of_a_patch_are_drawn_apart():
    three, steps = people([1, 2, 3]), range(12)
    apart = unpaired_patches(three, three, 12, 1)
    source = [round(float(patches(three, 12, 1)(step)["target"].max())) for step in steps]
    target = [round(float(apart(step)["target"].max())) for step in steps]
    assert {1, 2, 3} == set(source) == set(target)
    assert sum(a != b for a, b in zip(source, target, strict=True)) >= 2


def test_pool_hands_out_old_images_once_it_is_full():
    torch.manual_seed(0)
    pool = ReplayPool(4)
    images = torch.arange(40.0).reshape(40, 1, 1, 1, 1)
    assert torch.equal(pool.exchange(images[:4]), images[:4])
    out = pool.exchange(images[4:])
    old = (out != images[4:]).flatten()
    assert 0.25 < old.float().mean() < 0.75
    assert (out <= images[4:]).all()
    held = torch.stack(pool.images)
    together = torch.cat([out[old], held, out[~old]]).flatten()
    assert sorted(together.tolist()) == list(map(float, range(40)))
