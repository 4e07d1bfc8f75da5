"""What makes a T1w unlike those of the training: each part of the out-of-distribution score."""

from __future__ import annotations

from typing import Any

from bids_gan.reports.numbers import heading
from bids_gan.synthesis.familiarity import standard_scores


def compare_appearance(model: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each feature of the T1w, with the range that the generator saw in training.

    Parameters
    ----------
    model : dict
        Sidecar of a synthetic image, with ``Appearance`` and ``RangeSeen``.

    Returns
    -------
    list of dict
        ``feature`` in words with its unit, ``value``, ``mean`` and ``sd`` of the training,
        standard ``score``, and whether it is the ``farthest``; empty where the sidecar has no
        range.
    """
    features, seen = model.get("Appearance") or {}, model.get("RangeSeen") or {}
    known = {name: seen[name] for name in seen if name in features}
    scores = standard_scores(features, known)
    farthest = max(scores, key=lambda name: abs(scores[name]), default="")
    return [
        {
            "feature": heading(name),
            "value": features[name],
            "mean": mean,
            "sd": sd,
            "score": scores[name],
            "farthest": name == farthest,
        }
        for name, (mean, sd) in known.items()
    ]
