"""Training data of two simulated scanners in which nobody was twice: whole scans, made comparable.

Each person is scanned once. The scan is freed from its bias field, and its tissues are brought to
the tones of the target's scanner (:mod:`bids_gan.anatomy.standard`): what is left to learn
is what no curve of intensities changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bids_gan.anatomy.segment import find_structures
from bids_gan.anatomy.standard import even, match_tones, tones
from bids_gan.errors import UsageError
from bids_gan.gan.training.cache import cached_volumes
from bids_gan.gan.training.contrasts import aligned, unrelated
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.labels import find_label_map, load_label_map
from bids_gan.simulate.physics import Pulses
from bids_gan.simulate.scanner import Scanner, ScanPatches, whole_scan

Batches = Callable[[int], dict[str, Tensor]]

VALIDATION_PATCHES = 8


def scanners(recipe: dict) -> tuple[Scanner, Scanner]:
    """Scanner of the source and scanner of the target of ``[simulation]``.

    Raises
    ------
    UsageError
    """
    simulation = recipe["simulation"]
    return tuple(_scanner(recipe, simulation[end]) for end in ("source", "target"))


def _scanner(recipe: dict, name: str) -> Scanner:
    tables, where = recipe["simulation"]["scanners"], f"recipe {recipe['name']}, [simulation"
    if name not in tables:
        raise UsageError(f"{where}]: no scanner {name!r}, there are {', '.join(tables)}")
    try:
        return Scanner(**tables[name] | {"pulses": Pulses(**tables[name]["pulses"])})
    except KeyError as error:
        raise UsageError(f"{where}.scanners.{name}]: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}.scanners.{name}]: {error}") from None


def people_by_scanner(recipe: dict) -> tuple[list[str], list[str]]:
    """Every second of the people trained on is in the scanner of the source, the others are not.

    Raises
    ------
    UsageError
        When there is nobody for one of the two.
    """
    people = recipe["label_maps"]["train"]
    if len(people) < 2:
        raise UsageError(
            f"recipe {recipe['name']}, [label_maps]: train names {len(people)} people, two "
            "scanners need 2 at least, each in one of them"
        )
    return people[::2], people[1::2]


def target_tones(recipe: dict, folder: Path, cache: Path) -> np.ndarray:
    """Mean tones of the people in the scanner of the target, see :func:`tones`.

    Parameters
    ----------
    recipe : dict
    folder : Path
        Of the label maps.
    cache : Path
        Keeps the scans.
    """
    target, people = scanners(recipe)[1:], people_by_scanner(recipe)[1]
    scans = (even_scan(recipe, folder, cache, person, target) for person in people)
    return np.mean([tones(*scan[:2].float().numpy()) for scan in scans], axis=0)


def even_scan(
    recipe: dict, folder: Path, cache: Path, person: str, seen_by: Sequence[Scanner]
) -> Tensor:
    """Scan of one person in some scanners, without bias field.

    Returns
    -------
    (2 S + 2, I, J, K) half tensor
        From each scanner an image and the structures that are found in it; mask, and true classes
        of :class:`ContrastPatches`.
    """
    path, both = find_label_map(folder, person), scanners(recipe)

    def build() -> np.ndarray:
        network = load_model(find_card("anatomy")).network
        seed = recipe["seed"] + int.from_bytes(person.encode(), "big")
        scan = whole_scan(load_label_map(path), seen_by, seed)
        mask = scan["mask"][0].numpy()
        volumes = []
        for image in scan["contrasts"].numpy():
            image = even(image, mask > 0, np.eye(4)) * mask
            # the network takes any contrast, near one
            level = np.percentile(image[mask > 0], 75)
            volumes += [image, find_structures(network, image / level) * mask]
        return np.stack([*volumes, mask, scan["labels"].numpy()])

    return cached_volumes([path], cache / "-".join(str(both.index(one)) for one in seen_by), build)


def between_scanners(
    recipe: dict, folder: Path, cache: Path
) -> tuple[Batches, Callable[[], Iterable[dict[str, Tensor]]]]:
    """Some people in the scanner of the source, others in that of the target."""
    both, patch, batch = scanners(recipe), recipe["data"]["patch"], recipe["data"]["batch"]
    seed, wanted = recipe["seed"], target_tones(recipe, folder, cache)

    def patches(people: Sequence[str], seen_by: Sequence[Scanner], s: int, size: int) -> Batches:
        scans = (even_scan(recipe, folder, cache, person, seen_by) for person in people)
        return ScanPatches([matched(scan, wanted) for scan in scans], patch, size, s).batch

    sources, targets = (
        _source_or_target(patches(people, [one], seed + 2 * number, batch))
        for number, (people, one) in enumerate(zip(people_by_scanner(recipe), both, strict=True))
    )
    unseen = aligned(patches(recipe["label_maps"]["validation"], both, seed + 1, 1))
    return unrelated(sources, targets), lambda: map(unseen, range(VALIDATION_PATCHES))


def _source_or_target(images: Batches) -> Batches:
    """The only image of each patch as whichever of the two is looked at."""

    def batch(step: int) -> dict[str, Tensor]:
        seen = images(step)
        return seen | {"input": seen["contrasts"], "target": seen["contrasts"]}

    return batch


def matched(scan: Tensor, wanted: np.ndarray) -> Tensor:
    """Images of :func:`even_scan` with the tones that are wanted, mask and classes."""
    pairs = scan[:-2].float().numpy().reshape(-1, 2, *scan.shape[1:])
    mask = scan[-2].float().numpy()
    images = [match_tones(image, tones(image, found), wanted) * mask for image, found in pairs]
    return torch.cat([torch.as_tensor(np.stack(images)).half(), scan[-2:]])
