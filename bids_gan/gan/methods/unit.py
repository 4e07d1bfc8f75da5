"""UNIT (Liu et al. 2017, https://arxiv.org/abs/1703.00848): unpaired, by one latent space."""

from __future__ import annotations

import torch
from torch import Tensor

from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import fool, judge
from bids_gan.gan.losses.image import masked_l1
from bids_gan.gan.losses.latent import code_energy
from bids_gan.gan.methods.parts import ValidatedInTiles, adam
from bids_gan.gan.networks.layers import crop_to
from bids_gan.gan.networks.multiscale import MultiScaleDiscriminator
from bids_gan.gan.networks.unit import SharedLatentGenerator

OTHER = {"source": "target", "target": "source"}


class UNIT(ValidatedInTiles):
    """Two variational auto-encoders with a common latent space, two discriminators; no pairs.

    Parameters
    ----------
    generator : SharedLatentGenerator
    critic_target, critic_source : MultiScaleDiscriminator
        Of one channel.
    value_range : str
        Of the target, see :data:`bids_gan.gan.heads.RANGES`; the source is an intensity.
    tile : int
        Edge of the training patches, at which validation runs as well.
    image_weight : float
        Of reconstruction and of cycle, against the adversarial terms.
    latent_weight : float
        Of the latent codes' energy, of both passes.
    learning_rate : float

    Notes
    -----
    The objective is divided by `image_weight`: Adam does not see the scale, the limit on the norm
    of the gradient does. Noise of variance one is added to the latent code while training, which
    with the energy term makes the encoders variational. The published perceptual term is left out.
    """

    def __init__(
        self,
        generator: SharedLatentGenerator,
        critic_target: MultiScaleDiscriminator,
        critic_source: MultiScaleDiscriminator,
        value_range: str = "positive",
        tile: int = 32,
        image_weight: float = 10.0,
        latent_weight: float = 0.01,
        learning_rate: float = 1e-4,
    ):
        self.value_range = value_range
        self.ranges = {"source": "positive", "target": value_range}
        self.tile = tile
        self.image_weight = image_weight
        self.latent_weight = latent_weight
        self.modules = {
            "generator": generator,
            "critic_target": critic_target,
            "critic_source": critic_source,
        }
        self.optimisers = adam(self.modules, learning_rate, weight_decay=1e-4)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of generators and discriminators.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, ...), of which the first channel is read, with its ``mask``;
            ``target`` (N, 1, ...) of other people and places with its ``target_mask``.
        step : int
        """
        masks = {"source": batch["mask"], "target": batch["target_mask"]}
        images = {
            "source": batch["input"][:, :1] * masks["source"],
            "target": batch["target"] * masks["target"],
        }
        terms, result = {}, {}
        for side, image in images.items():
            other, mask = OTHER[side], masks[side]
            code = self._encode(image, side)
            fake = self._decode(code, other, mask)
            code_of_fake = self._encode(fake, other)
            energy = code_energy(code) + code_energy(code_of_fake)
            same, back = self._decode(code, side, mask), self._decode(code_of_fake, side, mask)
            terms |= {
                f"same_{side}": masked_l1(same, image, mask),
                f"cycle_{side}": masked_l1(back, image, mask),
                f"latent_{side}": self.latent_weight / self.image_weight * energy,
                f"fool_{other}": self._fool(other, fake),
            }
            result[f"critic_{other}"] = {f"judge_{other}": self._judge(other, images[other], fake)}
        return {"generator": terms} | result

    def _encode(self, image: Tensor, contrast: str) -> Tensor:
        return self.modules["generator"].encode(image, contrast)

    def _decode(self, code: Tensor, contrast: str, mask: Tensor) -> Tensor:
        noisy = code + torch.randn_like(code)
        raw = crop_to(self.modules["generator"].decode(noisy, contrast), mask.shape[2:])
        return bounded(raw, self.ranges[contrast]) * mask

    def _fool(self, contrast: str, fake: Tensor) -> Tensor:
        seen = self.modules[f"critic_{contrast}"].at_scales(fake)
        return sum(fool(critic, image) for critic, image in seen) / self.image_weight

    def _judge(self, contrast: str, real: Tensor, fake: Tensor) -> Tensor:
        critics = self.modules[f"critic_{contrast}"]
        pairs = zip(critics.at_scales(real), critics.at_scales(fake), strict=True)
        return sum(judge(critic, image, made) for (critic, image), (_, made) in pairs)


@torch.no_grad()
def latent_distances(network: SharedLatentGenerator, source: Tensor, target: Tensor) -> Tensor:
    """How far the codes of one contrast lie from those of the other.

    Parameters
    ----------
    network : SharedLatentGenerator
    source, target : (N, 1, ...) tensor
        The same N people in both contrasts.

    Returns
    -------
    (N, N) tensor
        Root mean square difference of code i of the source and code j of the target. If the
        latent space is shared, the diagonal is small against the rest.
    """
    a = network.encode(source, "source").flatten(1)
    b = network.encode(target, "target").flatten(1)
    return torch.cdist(a.double(), b.double()) / a.shape[1] ** 0.5
