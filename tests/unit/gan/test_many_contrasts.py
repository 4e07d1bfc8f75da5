"""UNIT, StarGAN, CollaGAN, constrained auto-encoder: who learns from what, and exact resuming."""

import pytest
import torch

from bids_gan.gan.methods.collagan import CollaGAN, patterns
from bids_gan.gan.methods.constrained_autoencoder import ConstrainedAutoencoder, area_under_curve
from bids_gan.gan.methods.parts import Turns, label_channels
from bids_gan.gan.methods.stargan import StarGAN
from bids_gan.gan.methods.unit import UNIT, latent_distances
from bids_gan.gan.networks.autoencoder import Autoencoder
from bids_gan.gan.networks.classifier import ClassifyingDiscriminator
from bids_gan.gan.networks.collagan import CollaborativeUNet
from bids_gan.gan.networks.multiscale import MultiScaleDiscriminator
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.networks.unit import SharedLatentGenerator
from bids_gan.gan.networks.vector_critic import VectorCritic
from bids_gan.gan.training.contrasts import (
    aligned,
    middle_slice,
    one_of_each,
    random_subsets,
    single,
    unrelated,
)
from bids_gan.gan.training.figure import write_preview
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings

PATCH, CONTRASTS = 8, 3


def unit(dimensions=3):
    critics = (MultiScaleDiscriminator(1, 2, 2, 2, dimensions) for _ in range(2))
    network = SharedLatentGenerator(base=2, blocks=2, dimensions=dimensions)
    return UNIT(network, *critics, tile=PATCH)


def stargan(dimensions=3):
    network = ResNetGenerator(1 + CONTRASTS, 1, 2, 1, dimensions, "zeros")
    critic = ClassifyingDiscriminator(1, CONTRASTS, 2, 1, dimensions)
    return StarGAN(network, critic, CONTRASTS, critic_steps=2)


def collagan(dimensions=3):
    network = CollaborativeUNet(CONTRASTS, (6, 6), dimensions)
    critic = ClassifyingDiscriminator(1, CONTRASTS, 2, 1, dimensions)
    return CollaGAN(network, critic, CONTRASTS)


def autoencoder(dimensions=3):
    network = Autoencoder(1, PATCH, 4, (4, 4), dimensions)
    return ConstrainedAutoencoder(network, VectorCritic(4, 8))


def contrasts(step, size=3):
    """Smooth noise and two functions of it."""
    random = torch.Generator().manual_seed(step)
    coarse = torch.rand(size, 1, 4, 4, 4, generator=random)
    x = torch.nn.functional.interpolate(coarse, size=(PATCH,) * 3, mode="trilinear")
    mask = torch.ones_like(x)
    mask[..., 0] = 0
    labels = (x[:, 0] > 0.5).long()
    return {"contrasts": torch.cat([x, 1 - x, x**2], dim=1) * mask, "mask": mask, "labels": labels}


BATCHES = {
    unit: unrelated(aligned(contrasts), aligned(lambda step: contrasts(step + 1000))),
    stargan: one_of_each(contrasts, 0),
    collagan: random_subsets(contrasts, 0),
    autoencoder: single(contrasts),
}
BATCHES[autoencoder] = lambda step: {
    key: value[:, :1] if key == "input" else value
    for key, value in single(contrasts)(step).items()
}
VALIDATION = {
    unit: aligned(contrasts), stargan: contrasts, collagan: contrasts,
    autoencoder: lambda step: BATCHES[autoencoder](step),
}  # fmt: skip
METHODS = list(BATCHES)


def made(make, dimensions=3, seed=0):
    torch.manual_seed(seed)
    return make(dimensions)


def terms_of(method, batch):
    """Loss terms of a step in which everybody moves."""
    if isinstance(method, StarGAN):
        method.turns.count = method.turns.every - 1
    return method.losses(batch, 0)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("make", METHODS)
def test_each_network_learns_from_its_own_loss_alone(make, dimensions):
    method, batch = made(make, dimensions), BATCHES[make](0)
    losses = terms_of(method, middle_slice(batch) if dimensions == 2 else batch)
    assert set(losses) == set(method.modules)
    for name, terms in losses.items():
        assert all(torch.isfinite(term) for term in terms.values())
        for module in method.modules.values():
            module.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        for other, module in method.modules.items():
            learns = [p.grad is not None for p in module.parameters()]
            assert all(learns) if other == name else not any(learns), (name, other)
        assert all(p.requires_grad for m in method.modules.values() for p in m.parameters())


@pytest.mark.parametrize("make", METHODS)
def test_resumed_run_gives_the_same_weights(make, tmp_path):
    def until_three(step):
        if step == 3:
            raise KeyboardInterrupt
        return BATCHES[make](step)

    def run(folder, batches=BATCHES[make], seed=0):
        settings = TrainingSettings(
            5, warmup=1, validate_every=100, checkpoint_every=3, preview_every=0,
            precision="fp32", workers=0, average_decay=0.5,
        )  # fmt: skip
        validation = VALIDATION[make]
        return train(made(make, seed=seed), batches, lambda: [validation(9)], folder, settings)

    whole = run(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", until_three)
    resumed = run(tmp_path / "b", seed=1)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("make", METHODS)
def test_previews_are_drawn(make, dimensions, tmp_path):
    method, batch = made(make, dimensions), VALIDATION[make](0)
    batch = middle_slice(batch) if dimensions == 2 else batch
    drawn = method.preview(method.modules["generator"].eval(), batch)
    assert all(volume.shape == (PATCH,) * dimensions for volume in drawn.values())
    assert len(drawn) >= 3
    write_preview(tmp_path / "a.png", drawn, "step 0")
    assert (tmp_path / "a.png").exists()


def test_turns_are_counted_across_a_resumed_run():
    turns, again = Turns(3), Turns(3)
    assert [turns.generator_moves() for _ in range(4)] == [False, False, True, False]
    again.load_state_dict(turns.state_dict())
    assert [again.generator_moves() for _ in range(2)] == [False, True]


def test_critic_of_stargan_moves_more_often():
    method, batch = made(stargan), BATCHES[stargan](0)
    assert [sorted(method.losses(batch, 0)) for _ in range(3)] == [
        ["discriminator"], ["discriminator", "generator"], ["discriminator"],
    ]  # fmt: skip


def test_label_channels_are_one_where_the_class_is():
    channels = label_channels(torch.tensor([2, 0]), 3, torch.zeros(2, 5, 4, 4))
    assert channels.shape == (2, 3, 4, 4)
    assert channels[:, :, 1, 2].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_stargan_says_what_the_label_does():
    method = made(stargan)
    found = method.score(method.modules["generator"], contrasts(0))
    assert found["label_effect"] > 0
    deaf = torch.nn.Conv3d(1 + CONTRASTS, 1, 1)
    deaf.weight.data[:, 1:] = 0
    assert method.score(deaf, contrasts(0))["label_effect"] == 0


def test_all_patterns_are_served_and_neither_empty_nor_full():
    every = patterns(4)
    assert every.shape == (14, 4)
    assert len({tuple(row) for row in every.tolist()}) == 14
    assert every.sum(1).min() == 1
    assert every.sum(1).max() == 3
    seen = set()
    for step in range(60):
        batch = BATCHES[collagan](step)
        rows = torch.arange(3)
        assert not batch["given"][rows, batch["wanted"]].any()
        seen |= {tuple(row) for row in batch["given"].tolist()}
    assert seen == {tuple(row) for row in patterns(CONTRASTS).tolist()}


def test_collagan_does_not_look_at_what_is_missing():
    method, batch = made(collagan), BATCHES[collagan](0)
    network = method.modules["generator"].eval()
    missing = (1 - batch["given"])[..., None, None, None]
    arguments = batch["given"], batch["wanted"], batch["mask"]
    first = method.impute(network, batch["contrasts"], *arguments)
    other = method.impute(network, batch["contrasts"] + 7 * missing, *arguments)
    assert torch.equal(first, other)
    wanted = (batch["wanted"] + 1) % CONTRASTS
    told = method.impute(network, batch["contrasts"], batch["given"], wanted, batch["mask"])
    assert not torch.allclose(first, told)


def test_cycles_make_each_given_contrast_from_the_others_and_the_one_made():
    method, batch = made(collagan), BATCHES[collagan](0)
    calls = []

    def recorded(network, images, given, wanted, mask):
        calls.append((images, given, wanted))
        return images[:, :1]

    method.impute = recorded
    made_image = torch.full_like(batch["mask"], 5.0)
    given, wanted = batch["given"], batch["wanted"]
    _, rows, cycled = method._cycles(batch["contrasts"], made_image, given, wanted, batch["mask"])
    ((images, usable, asked),) = calls
    assert len(rows) == int(given.sum())
    assert torch.equal(asked, cycled)
    for place, (row, contrast) in enumerate(zip(rows, cycled, strict=True)):
        assert given[row, contrast] == 1
        expected = given[row].clone()
        expected[contrast], expected[wanted[row]] = 0, 1
        assert torch.equal(usable[place], expected)
        assert images[place, wanted[row]].min() == 5


def test_collagan_counts_errors_by_the_number_of_inputs():
    method = made(collagan)
    found = method.score(method.modules["generator"].eval(), contrasts(0, 1))
    assert set(found) == {"l1", "l1_from_1", "l1_from_2"}
    # three contrasts: six ways to make one from one, three from two
    mean = (6 * found["l1_from_1"] + 3 * found["l1_from_2"]) / 9
    assert found["l1"] == pytest.approx(mean, rel=1e-4)


def test_discriminator_of_collagan_first_learns_names_from_real_images():
    method = made(collagan)
    method.adversarial_start = 10
    batch = BATCHES[collagan](0)
    early, late = method.losses(batch, 9), method.losses(batch, 10)
    assert set(early["discriminator"]) == {"real_class"}
    assert set(late["generator"]) - set(early["generator"]) == {"fool", "fake_class"}


def test_latent_distance_is_small_for_the_same_person_in_a_shared_space():
    network = made(unit).modules["generator"]
    network.encoders["target"].load_state_dict(network.encoders["source"].state_dict())
    x = contrasts(0)["contrasts"][:, :1]
    distances = latent_distances(network, x, x)
    assert distances.shape == (3, 3)
    assert distances.diagonal().max() < 1e-6
    assert distances[~torch.eye(3, dtype=torch.bool)].min() > 1e-3


def test_shuffled_targets_are_the_same_to_unit():
    """No term but that of noise reads a source and a target together."""
    values = []
    for order in ([0, 1, 2], [2, 0, 1]):
        method, batch = made(unit), BATCHES[unit](0)
        method._decode = lambda code, contrast, mask, m=method: (
            m.modules["generator"].decode(code, contrast) * mask
        )
        batch |= {key: batch[key][order] for key in ("target", "target_mask")}
        losses = method.losses(batch, 0)
        values.append(torch.stack([t for terms in losses.values() for t in terms.values()]))
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)


def test_discriminators_of_unit_see_real_images_of_their_own_contrast():
    method, batch, real = made(unit), BATCHES[unit](0), {}

    def judged(contrast, image, fake):
        real[contrast] = image
        return fake.mean()

    method._judge = judged
    method.losses(batch, 0)
    assert torch.equal(real["source"], batch["input"] * batch["mask"])
    assert torch.equal(real["target"], batch["target"] * batch["target_mask"])


def test_area_under_curve_is_how_often_positives_score_higher():
    scores = torch.tensor([0.1, 0.4, 0.4, 0.9])
    positive = torch.tensor([False, True, False, True])
    # pairs: .4 > .1, .4 = .4, .9 > .1, .9 > .4
    assert area_under_curve(scores, positive) == pytest.approx(3.5 / 4)


def test_residual_finds_what_the_reconstruction_lacks():
    method = made(autoencoder)
    batch = BATCHES[autoencoder](0)
    batch["lesion"] = torch.zeros_like(batch["mask"])
    batch["lesion"][..., 3:5, 3:5, 3:5] = 1

    class Healthy(torch.nn.Module):
        size = (PATCH,) * 3

        def forward(self, x):
            return healthy

    shown = batch["input"] * batch["mask"]
    healthy = torch.log(torch.expm1(shown.clamp_min(1e-3)))  # softplus gives the image back
    found = method.score(Healthy(), batch | {"input": shown + 2 * batch["lesion"]})
    assert found["auc"] == 1
    assert found["auc"] >= found["intensity_auc"]
    healthy_only = method.score(Healthy(), {k: batch[k] for k in ("input", "mask")})
    assert set(healthy_only) == {"l1"}
