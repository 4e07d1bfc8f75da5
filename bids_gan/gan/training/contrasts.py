"""What methods for more than two contrasts are shown of aligned ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bids_gan.gan.slices import with_neighbours

Batches = Callable[[int], dict[str, Tensor]]
#: what is known of the people of aligned contrasts, some of it in some simulations only
OF_PEOPLE = ("labels", "lesion", "acquired", "shift")


def one_of_each(contrasts: Batches, seed: int) -> Batches:
    """A single contrast of every patch, and another one to turn it into.

    Parameters
    ----------
    contrasts : callable
        Step -> ``contrasts`` (N, K, ...) and ``mask`` (N, 1, ...).
    seed : int

    Returns
    -------
    callable
        Step -> ``input`` (N, 1, ...), ``mask``, and the indices ``contrast`` and ``wanted`` (N,)
        of what it is and what it is to be.
    """

    def batch(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, step])
        given = contrasts(step)
        images = given["contrasts"]
        n, k = images.shape[:2]
        have = torch.as_tensor(rng.integers(k, size=n))
        wanted = (have + torch.as_tensor(rng.integers(1, k, size=n))) % k
        image = images[torch.arange(n), have].unsqueeze(1)
        return {"input": image, "mask": given["mask"], "contrast": have, "wanted": wanted}

    return batch


def random_subsets(contrasts: Batches, seed: int) -> Batches:
    """All contrasts of every patch, which of them to use, and which one to make.

    Parameters
    ----------
    contrasts : callable
        Step -> ``contrasts`` (N, K, ...) and ``mask`` (N, 1, ...).
    seed : int

    Returns
    -------
    callable
        Step -> the same with ``given`` (N, K) float, one of the 2^K - 2 patterns that are neither
        empty nor full, each as likely, and ``wanted`` (N,), a contrast that is missing in it.
    """

    def batch(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([seed, step])
        images = contrasts(step)
        n, k = images["contrasts"].shape[:2]
        patterns = rng.integers(1, 2**k - 1, size=n)
        given = patterns[:, None] >> np.arange(k) & 1
        wanted = [rng.choice(np.flatnonzero(row == 0)) for row in given]
        return images | {
            "given": torch.as_tensor(given, dtype=torch.float32),
            "wanted": torch.as_tensor(np.array(wanted)),
        }

    return batch


def unrelated(pairs: Batches, others: Batches) -> Batches:
    """The source of some pairs, the target of others: nothing says which belongs to which.

    Parameters
    ----------
    pairs, others : callable
        Step -> ``input``, ``target``, ``mask`` (N, 1, ...) and :data:`OF_PEOPLE`, drawn
        independently.

    Returns
    -------
    callable
        Step -> ``input`` with its ``mask`` and what is known of its people, ``target`` with its
        ``target_mask``.
    """

    def batch(step: int) -> dict[str, Tensor]:
        source, target = pairs(step), others(step)
        return {
            "input": source["input"],
            "mask": source["mask"],
            **_of_people(source),
            "target": target["target"],
            "target_mask": target["mask"],
        }

    return batch


def aligned(contrasts: Batches) -> Batches:
    """First and second contrast of the same patches, as a pair.

    Returns
    -------
    callable
        Step -> ``input``, ``target``, ``mask`` and ``supervised`` (N, 1, ...), ``thickness``
        (N,), and :data:`OF_PEOPLE`.
    """

    def batch(step: int) -> dict[str, Tensor]:
        images = contrasts(step)
        mask = images["mask"]
        return {
            "input": images["contrasts"][:, :1],
            "target": images["contrasts"][:, 1:2],
            "mask": mask,
            **_of_people(images),
            "supervised": mask,
            "thickness": torch.ones(len(mask), dtype=torch.int64),
        }

    return batch


def single(contrasts: Batches) -> Batches:
    """Images alone: ``contrasts`` becomes ``input``."""

    def batch(step: int) -> dict[str, Tensor]:
        images = contrasts(step)
        return {"input" if key == "contrasts" else key: value for key, value in images.items()}

    return batch


def _of_people(images: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: images[key] for key in OF_PEOPLE if key in images}


def with_classes(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Where lesions are known, also ``classes`` (N,): 1 of an image that shows some, else 0."""
    if "lesion" not in batch:
        return batch
    return batch | {"classes": (batch["lesion"] > 0).flatten(1).any(1).long()}


def middle_slice(batch: dict[str, Tensor], neighbours: int = 0) -> dict[str, Tensor]:
    """The middle slice along the last axis of every volume, for networks of two dimensions.

    Volumes are tensors (N, ..., p, p, p) of four dimensions and more; a slice is as thin as a
    voxel, whatever the ``thickness`` of those it was cut from. Of the ``input`` so many of its
    neighbours to either side become channels, see :func:`bids_gan.gan.slices.with_neighbours`.
    """
    if neighbours:
        batch = batch | {"input": with_neighbours(batch["input"], neighbours)}
    result = {
        key: value[..., value.shape[-1] // 2] if value.dim() > 3 else value
        for key, value in batch.items()
    }
    if "thickness" in result:
        result["thickness"] = torch.ones_like(result["thickness"])
    return result
