"""How far a T1w lies from those that a generator was trained on."""

from __future__ import annotations

import numpy as np


def standard_scores(
    features: dict[str, float], range_seen: dict[str, list[float]]
) -> dict[str, float]:
    """Distance of each feature from the mean of the people trained on, in standard deviations.

    Parameters
    ----------
    features : dict
        See :func:`bids_gan.synthesis.generate.appearance`.
    range_seen : dict
        Feature -> [mean, standard deviation], from the model card.
    """
    return {name: (features[name] - mean) / sd for name, (mean, sd) in range_seen.items()}


def out_of_distribution(features: dict[str, float], range_seen: dict[str, list[float]]) -> float:
    """Root mean square of :func:`standard_scores`, whose arguments it takes.

    Returns
    -------
    float
        About 1 for a person like those in training; above 4 the result deserves distrust.
    """
    scores = list(standard_scores(features, range_seen).values())
    return float(np.sqrt(np.mean(np.square(scores))))
