"""The methods that a recipe can name, and how each is put together from its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from bids_gan.errors import UsageError
from bids_gan.gan.losses.terms import Term
from bids_gan.gan.methods.collagan import CollaGAN
from bids_gan.gan.methods.constrained_autoencoder import ConstrainedAutoencoder
from bids_gan.gan.methods.cyclegan import CycleGAN
from bids_gan.gan.methods.dual_stage import DualStageGAN
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.pix2pix import Pix2Pix
from bids_gan.gan.methods.progressive import ProgressiveGAN
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.methods.stargan import StarGAN
from bids_gan.gan.methods.unit import UNIT
from bids_gan.gan.networks.classifier import ClassifyingDiscriminator
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.multiscale import MultiScaleDiscriminator
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.progressive_critic import ProgressiveCritic
from bids_gan.gan.networks.vector_critic import VectorCritic
from bids_gan.gan.training.method import Method
from bids_gan.models.losses import extra_losses


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
    extra = extra_losses(recipe)  # refuses them for a method that takes none
    return METHODS[name](network, recipe, **({"extra": extra} if extra else {}))


def _segmentation(network: nn.Module, recipe: dict) -> Segmentation:
    return Segmentation(network, **_learning_rate(recipe))


def _paired(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> Paired:
    options = _image(recipe)
    if adversarial := recipe.get("adversarial"):
        options |= {
            "discriminator": _patch_discriminator(2, recipe),
            "adversarial_weight": adversarial["weight"],
            "adversarial_start": adversarial["start"],
        }
    return Paired(network, extra=extra, **options)


def _pix2pix(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> Pix2Pix:
    options = _image(recipe) | {"tile": recipe["data"]["patch"], "extra": extra}
    channels = recipe["network"]["in_channels"]
    return Pix2Pix(network, _patch_discriminator(2, recipe), channels=channels, **options)


def _cyclegan(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> CycleGAN:
    options = _image(recipe) | {"tile": recipe["data"]["patch"], "extra": extra}
    back = build_network(recipe["network"])
    critics = (_patch_discriminator(1, recipe) for _ in range(2))
    try:
        return CycleGAN(network, back, *critics, **options, **recipe.get("cycle", {}))
    except TypeError as error:
        raise UsageError(f"recipe {recipe['name']}, [cycle]: {error}") from None


def _unit(network: nn.Module, recipe: dict) -> UNIT:
    critics = (_critic(MultiScaleDiscriminator, recipe, 1) for _ in range(2))
    return UNIT(network, *critics, tile=recipe["data"]["patch"], **_image(recipe))


def _stargan(network: nn.Module, recipe: dict) -> StarGAN:
    contrasts = len(recipe["simulation"]["contrasts"])
    critic = _critic(ClassifyingDiscriminator, recipe, 1, contrasts)
    return StarGAN(network, critic, contrasts, **_image(recipe))


def _collagan(network: nn.Module, recipe: dict) -> CollaGAN:
    contrasts = len(recipe["simulation"]["contrasts"])
    critic = _critic(ClassifyingDiscriminator, recipe, 1, contrasts)
    start = recipe["adversarial"]["start"]
    return CollaGAN(network, critic, contrasts, adversarial_start=start, **_image(recipe))


def _constrained_autoencoder(network: nn.Module, recipe: dict) -> ConstrainedAutoencoder:
    critic = VectorCritic(recipe["network"]["latent"], recipe["adversarial"]["width"])
    return ConstrainedAutoencoder(network, critic, **_image(recipe))


def _progressive(network: nn.Module, recipe: dict) -> ProgressiveGAN:
    widths, steps = recipe["network"]["widths"], recipe["training"]["steps"]
    critic = ProgressiveCritic(widths, dimensions=_dimensions(recipe))
    return ProgressiveGAN(network, critic, len(widths), steps / len(widths), **_image(recipe))


def _dual_stage(network: nn.Module, recipe: dict) -> DualStageGAN:
    widths, steps = recipe["network"]["widths"], recipe["training"]["steps"]
    critic = ProgressiveCritic(widths, network.classes, _dimensions(recipe))
    discriminator = _critic(PatchDiscriminator, recipe, network.classes + 1)
    # the last size is the hardest: three shares of the steps, one for each of the others
    stage_steps = steps / (len(widths) + 2)
    return DualStageGAN(network, critic, discriminator, len(widths), stage_steps, **_image(recipe))


def _learning_rate(recipe: dict) -> dict:
    return {k: v for k, v in recipe["training"].items() if k == "learning_rate"}


def _image(recipe: dict) -> dict:
    """Options of every method that makes an image."""
    return _learning_rate(recipe) | {"value_range": recipe["output"]["range"]}


def _dimensions(recipe: dict) -> int:
    return recipe["network"].get("dimensions", 3)


def _critic(kind: Callable[..., nn.Module], recipe: dict, *channels: int) -> nn.Module:
    """Discriminator of a method that has one of its own, as [adversarial] describes it."""
    options = {k: v for k, v in recipe["adversarial"].items() if k != "start"}
    try:
        return kind(*channels, dimensions=_dimensions(recipe), **options)
    except TypeError as error:
        raise UsageError(f"recipe {recipe['name']}, [adversarial]: {error}") from None


def _patch_discriminator(channels: int, recipe: dict) -> PatchDiscriminator:
    adversarial = recipe["adversarial"]
    options = {k: adversarial[k] for k in ("base", "layers") if k in adversarial}
    return PatchDiscriminator(channels, **options, dimensions=_dimensions(recipe))


#: method of a recipe -> function (network, recipe) -> method; some also take extra losses
METHODS: dict[str, Callable[..., Method]] = {
    "segmentation": _segmentation,
    "paired": _paired,
    "pix2pix": _pix2pix,
    "cyclegan": _cyclegan,
    "unit": _unit,
    "stargan": _stargan,
    "collagan": _collagan,
    "constrained-autoencoder": _constrained_autoencoder,
    "progressive": _progressive,
    "dual-stage": _dual_stage,
}
