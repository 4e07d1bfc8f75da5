"""The methods that a recipe can name, and how each is put together from its tables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from bids_gan.errors import UsageError
from bids_gan.gan.losses.terms import Term
from bids_gan.gan.methods.classification import Classification
from bids_gan.gan.methods.collagan import CollaGAN
from bids_gan.gan.methods.constrained_autoencoder import ConstrainedAutoencoder
from bids_gan.gan.methods.cyclegan import CycleGAN
from bids_gan.gan.methods.displacement import Displacement
from bids_gan.gan.methods.dual_stage import DualStageGAN
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.pix2pix import Pix2Pix
from bids_gan.gan.methods.progressive import ProgressiveGAN
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.methods.stargan import StarGAN
from bids_gan.gan.methods.unit import UNIT
from bids_gan.gan.networks.classifier import ClassifyingDiscriminator
from bids_gan.gan.networks.dense_discriminator import DenseDiscriminator
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.histogram_critic import HistogramDiscriminator
from bids_gan.gan.networks.multiscale import MultiScaleDiscriminator
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.progressive_critic import ProgressiveCritic
from bids_gan.gan.networks.vector_critic import VectorCritic
from bids_gan.gan.training.method import Method
from bids_gan.models.losses import extra_losses

#: methods whose generator is shown measured images only, never what another network made
NEIGHBOURED = ("segmentation", "paired", "pix2pix")
#: keys of [adversarial] that say something else than what its discriminator is made of
_NOT_OF_THE_CRITIC = ("weight", "start", "output", "sees")


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
    if recipe["network"].get("neighbours") and name not in NEIGHBOURED:
        raise UsageError(
            f"recipe {recipe['name']}, [network]: method {name} shows its networks single slices, "
            f"which have no neighbours; only {', '.join(NEIGHBOURED)} have"
        )
    extra = extra_losses(recipe)  # refuses them for a method that takes none
    return METHODS[name](network, recipe, **({"extra": extra} if extra else {}))


def _segmentation(network: nn.Module, recipe: dict) -> Segmentation:
    return _build(Segmentation, recipe, network, **_learning_rate(recipe))


def _classification(network: nn.Module, recipe: dict) -> Classification:
    return _build(Classification, recipe, network, **_learning_rate(recipe))


def _displacement(network: nn.Module, recipe: dict) -> Displacement:
    return _build(Displacement, recipe, network, **_learning_rate(recipe))


def _paired(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> Paired:
    adversarial = recipe.get("adversarial", {"weight": 0.0, "start": 0})
    given = _image(recipe) | {
        f"adversarial_{key}": adversarial[key] for key in ("weight", "start")
    }
    critic = _patch_discriminator(2, recipe) if "adversarial" in recipe else None
    return _build(Paired, recipe, network, critic, extra=extra, **given)


def _pix2pix(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> Pix2Pix:
    given = _image(recipe) | {"tile": recipe["data"]["patch"], "extra": extra}
    slices = 1 + 2 * recipe["network"].get("neighbours", 0)
    given["channels"] = slices * recipe["network"]["in_channels"]
    return _build(Pix2Pix, recipe, network, _patch_discriminator(2, recipe), **given)


def _cyclegan(network: nn.Module, recipe: dict, extra: Sequence[Term] = ()) -> CycleGAN:
    given = _image(recipe) | {"tile": recipe["data"]["patch"], "extra": extra}
    back = build_network(recipe["network"])
    critics = (_patch_discriminator(1, recipe) for _ in range(2))
    return _build(CycleGAN, recipe, network, back, *critics, **given)


def _unit(network: nn.Module, recipe: dict) -> UNIT:
    critics = (_critic(MultiScaleDiscriminator, recipe, 1) for _ in range(2))
    given = _image(recipe) | {"tile": recipe["data"]["patch"]}
    return _build(UNIT, recipe, network, *critics, **given)


def _stargan(network: nn.Module, recipe: dict) -> StarGAN:
    contrasts = len(recipe["simulation"]["contrasts"])
    kinds = {"convolutions": ClassifyingDiscriminator, "histograms": HistogramDiscriminator}
    critic = _critic(_one_of(kinds, recipe, "sees", "convolutions"), recipe, 1, contrasts)
    return _build(StarGAN, recipe, network, critic, contrasts, **_image(recipe))


def _collagan(network: nn.Module, recipe: dict) -> CollaGAN:
    contrasts = len(recipe["simulation"]["contrasts"])
    critic = _critic(ClassifyingDiscriminator, recipe, 1, contrasts)
    given = _image(recipe) | {"adversarial_start": recipe["adversarial"]["start"]}
    return _build(CollaGAN, recipe, network, critic, contrasts, **given)


def _constrained_autoencoder(network: nn.Module, recipe: dict) -> ConstrainedAutoencoder:
    critic = VectorCritic(recipe["network"]["latent"], recipe["adversarial"]["width"])
    return _build(ConstrainedAutoencoder, recipe, network, critic, **_image(recipe))


def _progressive(network: nn.Module, recipe: dict) -> ProgressiveGAN:
    widths, steps = recipe["network"]["widths"], recipe["training"]["steps"]
    critic = ProgressiveCritic(widths, dimensions=_dimensions(recipe))
    return _build(ProgressiveGAN, recipe, network, critic, len(widths), steps, **_image(recipe))


def _dual_stage(network: nn.Module, recipe: dict) -> DualStageGAN:
    discriminator = _critic(PatchDiscriminator, recipe, network.classes + 1)
    return _build(DualStageGAN, recipe, network, discriminator, **_image(recipe))


def _build(kind: type, recipe: dict, *parts, **given) -> Method:
    """Method of its parts, of what other tables give, and of the choices in [options]."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(kind).parameters.items()
        if isinstance(parameter.default, int | float | str)
        and name not in {*given, "learning_rate"}
    }
    place, options = f"recipe {recipe['name']}, [options]", recipe.get("options", {})
    for name, value in options.items():
        if name not in defaults:
            there = ", ".join(defaults) or "none"
            raise UsageError(f"{place}: method {recipe['method']} has no {name}; it has {there}")
        wanted = type(defaults[name])
        if type(value) is not wanted and (wanted, type(value)) != (float, int):
            raise UsageError(f"{place}: {name} = {value!r}, {wanted.__name__} is needed")
    try:
        return kind(*parts, **given, **options)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None


def _learning_rate(recipe: dict) -> dict:
    return {k: v for k, v in recipe["training"].items() if k == "learning_rate"}


def _image(recipe: dict) -> dict:
    """Options of every method that makes an image."""
    return _learning_rate(recipe) | {"value_range": recipe["output"]["range"]}


def _dimensions(recipe: dict) -> int:
    return recipe["network"].get("dimensions", 3)


def _critic(kind: Callable[..., nn.Module], recipe: dict, *channels: int) -> nn.Module:
    """Discriminator of a method as [adversarial] describes it."""
    options = {k: v for k, v in recipe["adversarial"].items() if k not in _NOT_OF_THE_CRITIC}
    try:
        return kind(*channels, dimensions=_dimensions(recipe), **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"recipe {recipe['name']}, [adversarial]: {error}") from None


def _patch_discriminator(channels: int, recipe: dict) -> nn.Module:
    """PatchGAN, or with ``output = "dense"`` one score of the whole image."""
    kinds = {
        "patch": PatchDiscriminator,
        "dense": partial(DenseDiscriminator, size=recipe["data"]["patch"]),
    }
    return _critic(_one_of(kinds, recipe, "output", "patch"), recipe, channels)


def _one_of(kinds: dict[str, Callable], recipe: dict, key: str, usual: str) -> Callable:
    """The kind of discriminator that [adversarial] names."""
    named = recipe["adversarial"].get(key, usual)
    if named not in kinds:
        raise UsageError(
            f"recipe {recipe['name']}, [adversarial]: {key} = {named!r}, "
            f"accepted are {', '.join(kinds)}"
        )
    return kinds[named]


#: method of a recipe -> function (network, recipe) -> method; some also take extra losses
METHODS: dict[str, Callable[..., Method]] = {
    "segmentation": _segmentation,
    "classification": _classification,
    "displacement": _displacement,
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
