"""How simulated runs differ: as people do, or further than that, for an estimator to learn from.

Twelve heads are few. What was learnt on exactly such heads, fields and contrasts is sure of itself
on others, and wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bids_gan.gan.training.augment import smooth_noise


class Variety(NamedTuple):
    """What is drawn.

    Attributes
    ----------
    size : float
        Standard deviation of the logarithm of a head's size along each axis.
    bends : tuple of (int, float)
        What gives it another shape: knots across the grid, and largest standard deviation, mm.
    exchanged : float
        Share of runs with a bent mixture of the fields of others in the place of the person's
        own: a network would learn by heart whose field is whose.
    any_field : float
        Share of runs with a field that knows nothing of air and bone.
    gamma : float
        Standard deviation of the logarithm of the exponent of an image's contrast curve.
    """

    size: float = 0.03
    bends: tuple[tuple[int, float], ...] = ((6, 3.0),)
    exchanged: float = 0.0
    any_field: float = 0.0
    gamma: float = 0.0


#: as people differ: to judge an estimator
PEOPLE = Variety()
#: to train one
TRAINING = Variety(0.05, ((3, 5.0), (6, 3.0)), exchanged=0.72, any_field=0.13, gamma=0.12)


def any_field(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth field (I, J, K) with hot spots anywhere."""
    rough = smooth_noise(rng, shape, int(rng.integers(3, 8)))[0].numpy()
    return rough * np.abs(rough)


def curved(image: np.ndarray, gamma: float, rng: np.random.Generator) -> np.ndarray:
    """Image of another contrast, in which the tissues keep their order."""
    return image.clip(min=0) ** float(np.exp(rng.normal(0, gamma))) if gamma else image
