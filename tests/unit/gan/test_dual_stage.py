"""The dual-stage GAN: labels that are labels, images of these, and two stages that both learn."""

import pytest
import torch
from tiny import settings, whole_and_resumed

from bids_gan.gan.methods.dual_stage import DualStageGAN, drawn
from bids_gan.gan.networks.dual_stage import DualStageGenerator
from bids_gan.gan.networks.layers import one_hot
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.training.loop import train

WIDTHS, CLASSES, SIZE = (4, 3, 2), 3, 16


def make(dimensions=3, seed=0):
    torch.manual_seed(seed)
    return DualStageGAN(
        DualStageGenerator(5, WIDTHS, CLASSES, (4, 4), dimensions),
        PatchDiscriminator(CLASSES + 1, 2, 1, dimensions),
    )


def batch(step, dimensions=3):
    """Brains of two tissues, whose labels go on where the image ends."""
    random = torch.Generator().manual_seed(step)
    space = (SIZE,) * dimensions
    labels = torch.randint(1, CLASSES, (3, *space), generator=random)
    mask = torch.zeros(3, 1, *space)
    mask[..., 3:-3] = 1
    return {"input": labels.unsqueeze(1) * 0.4 * mask, "labels": labels, "mask": mask}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_noise_becomes_labels_and_their_image(dimensions):
    method = make(dimensions)
    labels, image = method.draw(method.modules["generator"].eval(), 2, torch.device("cpu"))
    assert labels.shape == (2, *(SIZE,) * dimensions)
    assert image.shape == (2, 1, *(SIZE,) * dimensions)
    assert labels.dtype == torch.int64
    assert 0 <= labels.min() < labels.max() < CLASSES
    assert image[labels.unsqueeze(1) == 0].abs().max() == 0
    assert image.min() == 0 < image.max()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_labels_are_one_hot_and_those_that_are_not_seen_are_outside(dimensions):
    method, seen = make(dimensions), {}

    def keep(name):
        return lambda module, inputs: seen.setdefault(name, []).append(inputs[0].detach())

    method.modules["generator"].appearance.register_forward_pre_hook(keep("appearance"))
    method.modules["generator"].encoder.register_forward_pre_hook(keep("encoder"))
    method.modules["discriminator"].register_forward_pre_hook(keep("discriminator"))
    given = batch(0, dimensions)
    method.losses(given, 0)
    method.draw(method.modules["generator"], 3, torch.device("cpu"))
    real = one_hot(given["labels"] * given["mask"][:, 0].long(), CLASSES)
    assert torch.equal(seen["appearance"][0], real)
    assert all(torch.equal(x[:, :CLASSES], real) for x in seen["discriminator"])
    assert all(torch.equal(x, real) for x in seen["encoder"])
    for x in seen["appearance"]:
        torch.testing.assert_close(x.sum(1), torch.ones_like(x[:, 0]))
        assert set(x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_each_network_learns_from_its_own_loss_alone(dimensions):
    method = make(dimensions)
    losses = method.losses(batch(0, dimensions), 0)
    assert set(losses) == set(method.modules) == set(method.optimisers)
    for name, terms in losses.items():
        assert all(torch.isfinite(term) for term in terms.values())
        for module in method.modules.values():
            module.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        for other, module in method.modules.items():
            learns = {n for n, p in module.named_parameters() if p.grad is not None}
            everything = {n for n, _ in module.named_parameters()}
            assert learns == (everything if other == name else set()), (name, other)


def test_stages_learn_nothing_from_each_other():
    for term, learner, other in (
        ("code", "encoder", "appearance"),
        ("again", "shape", "appearance"),
        ("again", "encoder", "appearance"),
        ("l1", "appearance", "shape"),
    ):
        method = make()
        generator = method.modules["generator"]
        method.losses(batch(0), 0)["generator"][term].backward()
        assert any(p.grad is not None for p in getattr(generator, learner).parameters())
        assert all(p.grad is None for p in getattr(generator, other).parameters())


def test_resumed_as_if_never_stopped(tmp_path):
    whole, resumed = whole_and_resumed(lambda seed: make(seed=seed), batch, tmp_path)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_scale_learns_from_the_error_and_does_not_excuse_it():
    method = make()
    out = torch.zeros(3, 2, SIZE, SIZE, SIZE, requires_grad=True)
    method.modules["generator"].appearance.forward = lambda x: out
    method.losses(batch(0), 0)["generator"]["scale"].backward()
    value, scale = out.grad.chunk(2, dim=1)
    assert not value.any()
    assert scale.any()


def test_images_spread_as_far_as_their_scale_says():
    torch.manual_seed(0)
    value = torch.full((1, 1, 40, 40, 40), 5.0)
    image = drawn(value, torch.full_like(value, 0.3).log())
    assert float((image - value).abs().mean()) == pytest.approx(0.3, rel=0.05)
    assert float(image.mean()) == pytest.approx(5, abs=0.01)
    assert drawn(torch.zeros_like(value), torch.zeros_like(value)).min() == 0


def test_validation_sees_collapse():
    method = make()
    network = method.modules["generator"].eval()
    assert method.score(network, batch(0))["diversity"] > 0
    network.shape.forward = lambda z: torch.ones(len(z), CLASSES, *(SIZE,) * 3)
    assert method.score(network, batch(0))["diversity"] == pytest.approx(0, abs=1e-6)


def test_validation_compares_the_image_of_real_labels_with_theirs():
    method = make()
    method.value_range = "real"
    network = method.modules["generator"].eval()
    # a second stage that is right: 0.4 a label
    network.appearance.forward = lambda x: (
        0.4 * x.argmax(1, keepdim=True).expand(-1, 2, -1, -1, -1)
    )
    found = method.score(network, batch(0))
    assert found["l1"] == pytest.approx(0, abs=1e-6)
    assert found["r"] == pytest.approx(1)


def test_preview_shows_the_same_people_again():
    method = make()
    method.losses(batch(0), 0)
    network = method.modules["generator"].eval()
    first, again = (method.preview(network, batch(0)) for _ in range(2))
    assert list(first) == ["real labels", "real", "labels 1", "1", "labels 2", "2"]
    assert first["1"].shape == first["labels 1"].shape == (SIZE,) * 3
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["real labels"][..., 0].max() == 0 < first["real labels"].max()


def test_shapes_learn_those_they_are_shown():
    """A ball in the middle is there after some steps, whatever the vector."""
    method = make()
    middle = torch.stack(torch.meshgrid(*[torch.arange(SIZE) - 7.5] * 3, indexing="ij"))
    ball = (middle.norm(dim=0) < 5).long().expand(3, *(SIZE,) * 3)
    given = {
        "input": ball[:, None].float(),
        "labels": ball,
        "mask": torch.ones(3, 1, *(SIZE,) * 3),
    }
    optimiser = method.optimisers["generator"]
    for _ in range(60):
        optimiser.zero_grad()
        method.losses(given, 0)["generator"]["again"].backward()
        optimiser.step()
    labels, _ = method.draw(method.modules["generator"].eval(), 3, torch.device("cpu"))
    assert (labels == ball).float().mean() > 0.97


def test_each_stage_has_its_learning_rate_and_follows_one_schedule(tmp_path):
    method = make()
    groups = method.optimisers["generator"].param_groups
    rates = [group["lr"] for group in groups]
    assert rates == [1e-3, 1e-3, 2e-2]
    train(method, batch, lambda: (), tmp_path, settings(3, warmup=10))
    after = [group["lr"] for group in method.optimisers["generator"].param_groups]
    assert [a / b for a, b in zip(after, rates, strict=True)] == pytest.approx([0.3] * 3)


def test_each_stage_has_its_limit_on_the_gradient(tmp_path):
    """A second stage that is far off does not slow the first one down."""
    found = []
    for brightness in (1, 1000):
        method = make()
        method.value_range = "real"

        def brighter(step, brightness=brightness):
            given = batch(step)
            return given | {"input": brightness * given["input"]}

        train(method, brighter, lambda: (), tmp_path / str(brightness), settings(2))
        found.append([p.grad.clone() for p in method.modules["generator"].shape.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
