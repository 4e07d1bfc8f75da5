"""What T1w images looked like in training: the range of the out-of-distribution score."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_gan.pairs.store import read_summary

#: least standard deviation, of the mean: a few people may resemble each other by chance
LEAST_SPREAD = 0.1


def range_seen(folder: Path, labels: Sequence[str]) -> dict[str, Any]:
    """Range of the pairs that a model learns from.

    Parameters
    ----------
    folder : Path
        Written by ``bids-gan-model pairs``.
    labels : sequence of str
        Of the people.

    Returns
    -------
    dict
        For a card: ``RangeSeen``, feature of :func:`~bids_gan.synthesis.generate.appearance` ->
        [mean, standard deviation], and ``RangePeople``, how many people it is of.
    """
    return _range([read_summary(folder, label)["Appearance"] for label in labels])


def measure_range(bids_dir: Path) -> dict[str, Any]:
    """Range of the T1w images of a dataset, prepared as a run prepares them.

    For a model that learnt from label maps: a dataset that ``bids-gan-model simulate`` made of
    them shows the images that it knows. Returns what :func:`range_seen` returns.

    Raises
    ------
    UsageError
        When nobody has a T1w.
    DataError
        When one is unusable.
    """
    from tqdm import tqdm

    from bids_gan.anatomy.prepare import prepare_t1w
    from bids_gan.images import load_volume
    from bids_gan.models.registry import find_card, load_model
    from bids_gan.pairs.make import find_t1w
    from bids_gan.synthesis.generate import appearance

    paths = find_t1w(bids_dir).values()
    network = load_model(find_card("anatomy")).network
    return _range(
        [
            appearance(prepare_t1w(load_volume(path), network, name=str(path)))
            for path in tqdm(paths, unit="person")
        ]
    )


def _range(people: Sequence[dict[str, float]]) -> dict[str, Any]:
    result = {}
    for name in people[0]:
        values = [person[name] for person in people]
        mean = statistics.fmean(values)
        spread = max(statistics.pstdev(values), LEAST_SPREAD * mean)
        result[name] = [round(mean, 4), round(spread, 4)]
    return {"RangeSeen": result, "RangePeople": len(people)}
