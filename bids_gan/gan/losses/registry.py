"""The eighteen losses of image synthesis by name, and what each needs of the data.

Numbers and names are those of Yi, Walia and Babyn 2018 (https://arxiv.org/abs/1809.07294).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from bids_gan.gan.losses.adversarial import generator_loss
from bids_gan.gan.losses.classification import ClassificationLoss
from bids_gan.gan.losses.cycle import cycle_consistency
from bids_gan.gan.losses.filters import Spacing
from bids_gan.gan.losses.frequency import spectrum_difference
from bids_gan.gan.losses.gradient import edge_weighted, gradient_consistency, gradient_difference
from bids_gan.gan.losses.image import voxelwise
from bids_gan.gan.losses.latent import kl_divergence
from bids_gan.gan.losses.perceptual import PerceptualLoss, SaliencyLoss, StyleContentLoss
from bids_gan.gan.losses.physical import epi_difference
from bids_gan.gan.losses.regularisation import regulation, self_regularisation
from bids_gan.gan.losses.scale_space import sharpness_difference, steerable_difference
from bids_gan.gan.losses.segmentation import SegmentationLoss
from bids_gan.gan.losses.structure import dissimilarity
from bids_gan.gan.losses.terms import Example

#: what a loss can require of the data
REQUIREMENTS = {
    "pair": "a target image aligned with every input",
    "labels": "a tissue label for every voxel of the input",
    "classes": "a class for every image",
    "physics": "a model of the acquisition, and what was acquired",
}


@dataclass(frozen=True)
class Loss:
    """What is known of a loss without computing it.

    Attributes
    ----------
    number : str
        ``L1`` to ``L18``; a variant shares the number of the loss that it varies.
    name : str
        In recipes.
    function : callable
        The loss, or the class of a loss that looks through a frozen network.
    sees : tuple of str
        Attributes of :class:`~bids_gan.gan.losses.terms.Example` that it gets, in order; none for
        a loss that cannot be computed from images alone.
    requires : frozenset of str
        Keys of :data:`REQUIREMENTS`.
    part_of : str
        Of a loss that sees none: where it belongs.
    """

    number: str
    name: str
    function: Callable[..., Tensor] | type[nn.Module]
    sees: tuple[str, ...] = ()
    requires: frozenset[str] = frozenset()
    part_of: str = ""

    @property
    def network(self) -> bool:
        """Whether it looks through a frozen network."""
        return inspect.isclass(self.function)

    def term(
        self, *, spacing: Spacing = 1.0, network: nn.Module | None = None, **options: Any
    ) -> Callable[[Example], Tensor]:
        """Bind options and give the loss as a function of an example.

        Parameters
        ----------
        spacing : float or sequence of float
            Voxel size in mm, for the losses that have to do with it.
        network : module, optional
            What a loss with :attr:`network` looks through.
        options
            Other arguments of :attr:`function`.

        Raises
        ------
        ValueError
            When the function has no such option.
        """
        # after what it sees, or after the network
        parameters = list(inspect.signature(self.function).parameters)
        parameters = parameters[1 if self.network else len(self.sees) :]
        own = [name for name in parameters if name != "spacing"]
        unknown = [option for option in options if option not in own]
        if unknown:
            raise ValueError(
                f"loss {self.name} ({self.number}) has no option {', '.join(unknown)}; "
                f"it has {', '.join(own) or 'none'}"
            )
        if "spacing" in parameters:
            options["spacing"] = spacing
        bind = self.function if self.network else partial(partial, self.function)
        loss = bind(*[network] * self.network, **options)
        return lambda example: loss(*(getattr(example, name) for name in self.sees))


_PAIR = {"sees": ("image", "target", "mask"), "requires": frozenset({"pair"})}
_SOURCE = {"sees": ("image", "source", "mask")}

LOSSES = (
    Loss("L1", "adversarial", generator_loss, part_of="its weight stands in [adversarial]"),
    Loss("L2", "pixel-wise", voxelwise, **_PAIR),
    Loss("L3", "cycle", cycle_consistency, part_of="method cyclegan has it"),
    Loss("L4", "gradient", gradient_difference, **_PAIR),
    Loss("L4", "gradient-consistency", gradient_consistency, **_SOURCE),
    Loss("L5", "edge", edge_weighted, **_PAIR),
    Loss("L6", "sharpness", sharpness_difference, **_PAIR),
    Loss("L7", "segmentation", SegmentationLoss, ("image", "labels", "mask"),
         frozenset({"labels"})),
    Loss("L8", "perceptual", PerceptualLoss, **_PAIR),
    Loss("L9", "structure", dissimilarity, **_PAIR),
    Loss("L10", "style-content", StyleContentLoss, **_PAIR),
    Loss("L11", "self-regularisation", self_regularisation, **_SOURCE),
    Loss("L12", "steerable", steerable_difference, **_PAIR),
    Loss("L13", "classification", ClassificationLoss, ("image", "classes", "mask"),
         frozenset({"classes"})),
    Loss("L14", "frequency", spectrum_difference, **_PAIR),
    Loss("L15", "kl", kl_divergence, part_of="it holds the codes of a variational auto-encoder"),
    Loss("L16", "saliency", SaliencyLoss, **_PAIR),
    Loss("L17", "physical", epi_difference, ("image", "acquired", "mask", "shift"),
         frozenset({"physics"})),
    Loss("L18", "regulation", regulation, ("image", "reference", "mask")),
)  # fmt: skip


def find_loss(name: str) -> Loss:
    """Loss by its name or, of those without a variant, its number.

    Raises
    ------
    ValueError
    """
    found = [loss for loss in LOSSES if name == loss.name] or [
        loss for loss in LOSSES if name == loss.number
    ]
    if len(found) != 1:
        raise ValueError(
            f"loss {name!r}: there are {', '.join(f'{x.name} ({x.number})' for x in LOSSES)}"
        )
    return found[0]


def check_requirements(losses: Iterable[Loss], lacking: Mapping[str, str]) -> None:
    """Refuse losses that need what the data do not have, or that only their method can compute.

    Parameters
    ----------
    losses : iterable of Loss
        To be added to a method.
    lacking : mapping
        Requirement that the data do not meet -> why.

    Raises
    ------
    ValueError
        Says which loss, what it needs, and why the data do not have it.
    """
    for loss in losses:
        if not loss.sees:
            raise ValueError(
                f"loss {loss.name} ({loss.number}) cannot be added to a method: {loss.part_of}"
            )
        for need in sorted(loss.requires & set(lacking)):
            raise ValueError(
                f"loss {loss.name} ({loss.number}) needs {REQUIREMENTS[need]} ({need}): "
                f"{lacking[need]}"
            )
