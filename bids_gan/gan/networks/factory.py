"""Networks by name: what a recipe or a model card says becomes a module."""

from __future__ import annotations

from torch import nn

from bids_gan.gan.networks.autoencoder import Autoencoder
from bids_gan.gan.networks.collagan import CollaborativeUNet
from bids_gan.gan.networks.dual_stage import DualStageGenerator
from bids_gan.gan.networks.image_classifier import ImageClassifier
from bids_gan.gan.networks.matching import MatchingUNet
from bids_gan.gan.networks.progressive import ProgressiveGenerator
from bids_gan.gan.networks.residual import Residual
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.networks.tone_curves import ToneCurves
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.networks.unit import SharedLatentGenerator

NETWORKS = {
    "space-to-depth-unet": SpaceToDepthUNet,
    "matching-unet": MatchingUNet,
    "resnet": ResNetGenerator,
    "unit": SharedLatentGenerator,
    "collagan": CollaborativeUNet,
    "autoencoder": Autoencoder,
    "classifier": ImageClassifier,
    "tone-curves": ToneCurves,
    "progressive": ProgressiveGenerator,
    "dual-stage": DualStageGenerator,
}

#: of a recipe or a card that names none
USUAL_KIND = "space-to-depth-unet"


def build_network(spec: dict) -> nn.Module:
    """Build the network that a recipe or a card describes.

    Parameters
    ----------
    spec : dict
        ``kind`` (one of :data:`NETWORKS`, the space-to-depth U-Net when omitted), the
        arguments of that class, whether it is ``residual`` (see :class:`Residual`), and of a
        network of slices perhaps ``neighbours``: how many to either side it is given as further
        channels, each of ``in_channels`` as the slice itself.

    Raises
    ------
    ValueError
        When there is no such kind or an argument that it does not have.
    """
    arguments = dict(spec)
    kind = arguments.pop("kind", USUAL_KIND)
    residual = arguments.pop("residual", False)
    neighbours = arguments.pop("neighbours", 0)
    if neighbours:
        if neighbours < 0 or arguments.get("dimensions") != 2 or "in_channels" not in arguments:
            raise ValueError(
                f"neighbours = {neighbours}: as many slices to either side, of a network with "
                "dimensions = 2 and in_channels"
            )
        arguments["in_channels"] *= 1 + 2 * neighbours
    if kind not in NETWORKS:
        raise ValueError(f"network kind {kind!r}: accepted are {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"network {kind}: {error}") from None
    return Residual(network) if residual else network
