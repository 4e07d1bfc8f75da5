"""The methods that a recipe can name, and how each is put together from its tables."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bids_gan.errors import UsageError
from bids_gan.gan.losses.perceptual import PerceptualLoss
from bids_gan.gan.methods.cyclegan import CycleGAN
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.pix2pix import Pix2Pix
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.training.method import Method
from bids_gan.models.registry import find_card, load_model


def make_method(network: nn.Module, recipe: dict) -> Method:
    """Method of a recipe, to train `network` with.

    Raises
    ------
    UsageError
    """
    name = recipe["method"]
    if name not in METHODS:
        raise UsageError(
            f"recipe {recipe['name']}: unknown method {name!r}; there are {', '.join(METHODS)}"
        )
    return METHODS[name](network, recipe)


def _segmentation(network: nn.Module, recipe: dict) -> Segmentation:
    return Segmentation(network, **_learning_rate(recipe))


def _paired(network: nn.Module, recipe: dict) -> Paired:
    options = _image(recipe)
    if adversarial := recipe.get("adversarial"):
        options |= {
            "discriminator": _patch_discriminator(2, recipe),
            "adversarial_weight": adversarial["weight"],
            "adversarial_start": adversarial["start"],
        }
    if perceptual := recipe.get("perceptual"):
        encoder = load_model(find_card(perceptual["model"])).network
        options |= {
            "perceptual": PerceptualLoss(encoder),
            "perceptual_weight": perceptual["weight"],
        }
    return Paired(network, **options)


def _pix2pix(network: nn.Module, recipe: dict) -> Pix2Pix:
    options = _image(recipe) | {"tile": recipe["data"]["patch"]}
    channels = recipe["network"]["in_channels"]
    return Pix2Pix(network, _patch_discriminator(2, recipe), channels=channels, **options)


def _cyclegan(network: nn.Module, recipe: dict) -> CycleGAN:
    options = _image(recipe) | {"tile": recipe["data"]["patch"]}
    back = build_network(recipe["network"])
    critics = (_patch_discriminator(1, recipe) for _ in range(2))
    return CycleGAN(network, back, *critics, **options)


def _learning_rate(recipe: dict) -> dict:
    return {k: v for k, v in recipe["training"].items() if k == "learning_rate"}


def _image(recipe: dict) -> dict:
    """Options of every method that makes an image."""
    return _learning_rate(recipe) | {"value_range": recipe["output"]["range"]}


def _dimensions(recipe: dict) -> int:
    return recipe["network"].get("dimensions", 3)


def _patch_discriminator(channels: int, recipe: dict) -> PatchDiscriminator:
    return PatchDiscriminator(
        channels, recipe["adversarial"]["base"], dimensions=_dimensions(recipe)
    )


#: method of a recipe -> function (network, recipe) -> method
METHODS: dict[str, Callable[[nn.Module, dict], Method]] = {
    "segmentation": _segmentation,
    "paired": _paired,
    "pix2pix": _pix2pix,
    "cyclegan": _cyclegan,
}
