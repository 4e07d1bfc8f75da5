"""Begin a training with what another network has learnt."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.errors import UsageError
from bids_gan.models.registry import Card, load_network


def take_weights(network: nn.Module, parent: Card) -> None:
    """Copy the weights of a model into a new network, in place, as far as they fit.

    Where the network has more input channels than its parent, the first ones are the parent's
    and the others begin at zero. Parameters of another shape, as of a head for something else,
    stay as they are.

    Parameters
    ----------
    network : module
    parent : Card

    Raises
    ------
    UsageError
        When nothing fits.
    ModelError
        When the parent's weights cannot be read.
    """
    learnt = load_network(parent).state_dict()
    own = network.state_dict()
    fitting = {
        name: widened(learnt[name], value)
        for name, value in own.items()
        if name in learnt and is_wider(learnt[name], value)
    }
    if not fitting:
        raise UsageError(
            f"{parent.path}: none of its weights fits this network; "
            f"its own is {parent.network}, --start needs one of the same kind"
        )
    network.load_state_dict(own | fitting)


def is_wider(old: Tensor, new: Tensor) -> bool:
    """Whether `new` has the shape of `old`, or only more input channels (of a convolution)."""
    if old.dim() < 2:
        return old.shape == new.shape
    same = (old.shape[0], *old.shape[2:]) == (new.shape[0], *new.shape[2:])
    return same and old.shape[1] <= new.shape[1]


def widened(old: Tensor, new: Tensor) -> Tensor:
    """Put `old` into the first input channels of a tensor as `new` is, zero elsewhere."""
    if old.shape == new.shape:
        return old
    result = new.new_zeros(new.shape)
    result[:, : old.shape[1]] = old
    return result
