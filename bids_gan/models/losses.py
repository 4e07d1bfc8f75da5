"""The table ``[losses]`` of a recipe: terms beside the method's own."""

from __future__ import annotations

from bids_gan.errors import UsageError
from bids_gan.gan.losses.registry import Loss, check_requirements, find_loss
from bids_gan.gan.losses.terms import Term
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
        network = load_model(find_card(options.pop("model", NETWORK))).network
    spacing = recipe["data"].get("spacing", 1.0)
    return Term(loss.name, float(weight), loss.term(spacing=spacing, network=network, **options))
