"""The table ``[losses]`` of a recipe: terms beside the method's own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bids_gan.errors import UsageError
from bids_gan.gan.losses.registry import Loss, check_requirements, find_loss
from bids_gan.gan.losses.terms import Example, Term
from bids_gan.models.data import lacking
from bids_gan.models.registry import find_card, load_model

#: methods that take extra terms
METHODS = ("paired", "pix2pix", "cyclegan")
#: what a loss looks through when the recipe names no model
NETWORK = "anatomy"


def extra_losses(recipe: dict) -> list[Term]:
    """Terms of the table ``[losses]``.

    Parameters
    ----------
    recipe : dict
        ``losses`` maps a name to a weight, or to a table of ``weight``, the ``model`` that the
        loss looks through, and options of the loss.

    Raises
    ------
    UsageError
        When there is no such loss, or it needs what the data of the recipe do not have.
    ModelError
    """
    if "perceptual" in recipe:
        raise UsageError(
            f"recipe {recipe['name']}, [perceptual]: it stands in [losses] now, as "
            "perceptual = { weight = WEIGHT, model = NAME }"
        )
    table = recipe.get("losses", {})
    if table and recipe["method"] not in METHODS:
        raise UsageError(
            f"recipe {recipe['name']}, [losses]: method {recipe['method']} takes none, "
            f"only {', '.join(METHODS)}"
        )
    try:
        losses = {find_loss(name): entry for name, entry in table.items()}
        check_requirements(losses, lacking(recipe))
        return [_term(loss, entry, recipe) for loss, entry in losses.items()]
    except ValueError as error:
        raise UsageError(f"recipe {recipe['name']}, [losses]: {error}") from None


def _term(loss: Loss, entry: float | dict, recipe: dict) -> Term:
    options = dict(entry) if isinstance(entry, dict) else {"weight": entry}
    weight = options.pop("weight", None)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise ValueError(f"loss {loss.name}: its weight is {weight}, a positive number is needed")
    network = None
    if loss.network:
        card = find_card(options.pop("model", NETWORK))
        if "classes" in loss.requires and card.text.get("Method") != "classification":
            raise ValueError(
                f"loss {loss.name} ({loss.number}): model {card.name} tells no classes of images; "
                "give as model the path of one that method classification trained"
            )
        network = load_model(card).network
    spacing = recipe["data"].get("spacing", 1.0)
    call = loss.term(spacing=spacing, network=network, **options)
    if network is None:
        _try(loss, call)
    return Term(loss.name, float(weight), call)


def _try(loss: Loss, call: Callable[[Example], Tensor]) -> None:
    """Call a loss once, so that a wrong value of an option is found before anything is written."""
    image = torch.zeros(1, 1, 4, 4, 4)
    try:
        call(Example(image, image, image, image, acquired=image, shift=image))
    except (TypeError, ValueError) as error:
        raise ValueError(f"loss {loss.name} ({loss.number}): {error}") from None
