"""Critic of latent vectors."""

from __future__ import annotations

from torch import nn


class VectorCritic(nn.Sequential):
    """Three linear layers, from a vector (N, inputs) to its score (N, 1).

    Parameters
    ----------
    inputs : int
    width : int
        Of the layers between.
    """

    def __init__(self, inputs: int, width: int = 128):
        super().__init__(
            nn.Linear(inputs, width), nn.LeakyReLU(0.2),
            nn.Linear(width, width), nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )  # fmt: skip
