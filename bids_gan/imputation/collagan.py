"""A contrast of a whole brain from any others, by a trained CollaGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bids_gan.errors import ModelError
from bids_gan.gan.inference import run_network
from bids_gan.pairs.measured import MAGNETIC_RESONANCE
from bids_gan.synthesis.generate import SyntheticImage, image_of

if TYPE_CHECKING:
    from bids_gan.imputation.align import AlignedContrasts
    from bids_gan.models.registry import Card, Model


def contrasts_of(card: Card) -> tuple[str, ...]:
    """Contrasts of a CollaGAN, in the order of its channels.

    Raises
    ------
    ModelError
        When it is another model, or makes what cannot be scaled to white matter.
    """
    needed = "impute needs a CollaGAN, as `bids-gan-model train collagan` makes"
    if card.network.get("kind") != "collagan":
        made = f"makes {card.target} from {', '.join(card.inputs)}"
        raise ModelError(f"--model {card.path}: {card.name} {made}; {needed}")
    contrasts = tuple(card.text["Recipe"]["simulation"]["contrasts"])
    strange = [contrast for contrast in contrasts if contrast not in MAGNETIC_RESONANCE]
    if strange:
        raise ModelError(
            f"--model {card.path}: {card.name} has {', '.join(strange)} among its contrasts; "
            f"{needed} of {', '.join(MAGNETIC_RESONANCE)}"
        )
    return contrasts


def make_contrast(
    aligned: AlignedContrasts,
    wanted: str,
    model: Model,
    *,
    precision: str = "auto",
    device: str = "cpu",
) -> SyntheticImage:
    """Make a contrast from all others that are there.

    Parameters
    ----------
    aligned : AlignedContrasts
        One to all but one of the model's contrasts.
    wanted : str
        Another one of them.
    model : Model
    precision : {'auto', 'bf16', 'fp32'}
    device : str
    """
    contrasts = contrasts_of(model.card)
    channels = np.zeros((2 * len(contrasts), *aligned.mask.shape), np.float32)
    for contrast, image in aligned.images.items():
        channels[contrasts.index(contrast)] = image
    channels[len(contrasts) + contrasts.index(wanted)] = 1
    raw = run_network(model.network, channels, precision, device)
    mean, _ = image_of(raw, model.card.text["Output"])
    return SyntheticImage(np.where(aligned.mask, mean, 0).astype(np.float32), None, aligned.affine)
