"""Training data of the distortion estimator: simulated runs, guides of a released generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from torch import Tensor, nn

from bids_gan.anatomy.prepare import prepare_t1w
from bids_gan.distortion.guides import t2_like
from bids_gan.gan.training.cache import cached_volumes
from bids_gan.geometry import resample
from bids_gan.models.registry import Card, Model, find_card, load_model
from bids_gan.simulate.blip import BlipRuns, Prepared, render_person
from bids_gan.simulate.head import prepare_head
from bids_gan.simulate.labels import load_label_map
from bids_gan.simulate.variety import TRAINING
from bids_gan.synthesis.generate import synthesise

VALIDATION_STEPS = 12

Source = tuple[Callable[[int], dict[str, Tensor]], Callable[[], Iterable[dict[str, Tensor]]]]


def blip_runs(recipe: dict, label_maps: Path, cache: Path) -> Source:
    """Batches by step, and validation batches, of people who are rendered once.

    Parameters
    ----------
    recipe : dict
        ``[simulation]`` names the ``generator`` of the synthetic FA, and how many ``renders``
        there are of each label map.
    label_maps : Path
    cache : Path
        Keeps what was rendered.
    """
    people = {
        group: rendered_people(recipe, label_maps, cache, group)
        for group in ("train", "validation")
    }
    batch, seed = recipe["data"]["batch"], recipe["seed"]
    seen = BlipRuns(people["train"], batch, seed=seed, variety=TRAINING)
    unseen = BlipRuns(people["validation"], batch, seed=seed + 1)
    return seen.batch, lambda: map(unseen.batch, range(VALIDATION_STEPS))


def rendered_people(recipe: dict, label_maps: Path, cache: Path, group: str) -> list[Tensor]:
    """People of a group of the recipe, see :func:`bids_gan.simulate.blip.render_person`."""
    card = find_card(recipe["simulation"]["generator"])
    return [
        rendered(path, card, cache, number)
        for person in recipe["label_maps"][group]
        for path in sorted(label_maps.glob(f"*seg_{person}.nii.gz"))
        for number in range(recipe["simulation"]["renders"])
    ]


def rendered(label_map: Path, card: Card, cache: Path, number: int) -> Tensor:
    """One person of a label map, (8, I, J, K)."""

    def build() -> np.ndarray:
        networks = load_model(find_card("anatomy")).network, load_model(card)
        head = prepare_head(load_label_map(label_map))
        rng = np.random.default_rng([number, 5])
        return render_person(head, rng, lambda t1w: prepared(t1w, *networks))

    return cached_volumes([label_map], cache / f"{card.sha256[:12]}-{number}", build)


def prepared(t1w: nib.Nifti1Image, anatomy_network: nn.Module, generator: Model) -> Prepared:
    """What the application has of a T1w when it begins with a diffusion run."""
    anatomy = prepare_t1w(t1w, anatomy_network)
    image = synthesise(anatomy, generator)
    return Prepared(
        t2=t2_like(anatomy.t1w, anatomy.mask, anatomy.tissue),
        synth_fa=resample(image.mean, image.affine, anatomy.mask.shape, anatomy.affine),
        brain=anatomy.mask,
        affine=anatomy.affine,
    )
