"""All eighteen losses are there, are found by name, and are refused for the right reason."""

from pathlib import Path

import pytest
import torch
from loss_cases import encoder, picture

from bids_gan.gan.losses.registry import LOSSES, REQUIREMENTS, check_requirements, find_loss
from bids_gan.gan.losses.terms import Example, Term, weighted


def example():
    generator = torch.Generator().manual_seed(0)
    image = picture(3, 12, dtype=torch.float32)
    return Example(
        image=image,
        source=picture(3, 12, 4, torch.float32),
        mask=torch.ones_like(image),
        target=picture(3, 12, 7, torch.float32),
        labels=torch.randint(0, 4, (1, 12, 12, 12), generator=generator),
        classes=torch.tensor([2]),
        acquired=picture(3, 12, 9, torch.float32),
        shift=2 * picture(3, 12, 11, torch.float32),
    )


def test_eighteen_numbers_and_unique_names():
    assert {loss.number for loss in LOSSES} == {f"L{n}" for n in range(1, 19)}
    assert len({loss.name for loss in LOSSES}) == len(LOSSES)
    assert all(loss.requires <= set(REQUIREMENTS) for loss in LOSSES)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.sees], ids=lambda x: x.name)
def test_every_term_is_a_positive_number_with_a_gradient(loss):
    term = loss.term(spacing=1.5, network=encoder(3, torch.float32))
    one = example()
    one.image.requires_grad_()
    value = weighted([Term(loss.name, 0.5, term)], one)[loss.name]
    value.backward()
    assert value > 0
    assert one.image.grad.abs().sum() > 0
    torch.testing.assert_close(value, 0.5 * term(one))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
def test_requirements_are_what_the_loss_looks_at(loss):
    needs = {"target": "pair", "labels": "labels", "classes": "classes"}
    needs |= {"acquired": "physics", "shift": "physics"}
    assert loss.requires == {needs[name] for name in loss.sees if name in needs}
    assert bool(loss.sees) != bool(loss.part_of)


def test_documentation_has_a_row_for_each_with_its_requirement():
    page = Path(__file__).parents[4] / "docs" / "losses.md"
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| L")]
    documented = [(row[0].strip("| "), row[1], row[3]) for row in rows]
    assert documented == [
        (loss.number, loss.name, ", ".join(loss.requires) or "–") for loss in LOSSES
    ]


def test_spacing_and_options_reach_the_loss():
    one = example()
    gradient = find_loss("gradient")
    torch.testing.assert_close(gradient.term(spacing=2.0)(one), gradient.term()(one) / 2)
    squared = find_loss("pixel-wise").term(penalty="l2")(one)
    torch.testing.assert_close(squared, (one.image - one.target).square().mean())
    network = encoder(3, torch.float32)
    levels = [find_loss("perceptual").term(network=network, levels=n)(one) for n in (1, 2)]
    assert levels[0] < levels[1]


def test_regulation_looks_at_the_source_where_there_is_no_target():
    one = example()
    alone = Example(one.image, one.source, one.mask)
    term = find_loss("regulation").term()
    assert term(one) != term(alone)
    assert term(Example(one.source, one.source, one.mask)) == 0


def test_unknown_names_and_options_are_refused():
    assert find_loss("L9").name == "structure"
    for name in ("sharp", "L4"):  # the second has two
        with pytest.raises(ValueError, match=r"there are adversarial \(L1\)"):
            find_loss(name)
    with pytest.raises(ValueError, match=r"no option sigma; it has sigma_mm"):
        find_loss("edge").term(sigma=2)
    with pytest.raises(ValueError, match=r"no option image; it has none"):
        find_loss("frequency").term(image=2)
    with pytest.raises(ValueError, match=r"adversarial \(L1\) cannot be added.*\[adversarial\]"):
        check_requirements([find_loss("adversarial")], {})


def test_refusal_says_which_what_and_why():
    chosen = [find_loss("self-regularisation"), find_loss("gradient")]
    check_requirements(chosen, {"labels": "no matter"})
    with pytest.raises(ValueError) as error:
        check_requirements(chosen, {"pair": "sources and targets are of different people"})
    assert str(error.value) == (
        "loss gradient (L4) needs a target image aligned with every input (pair): "
        "sources and targets are of different people"
    )
