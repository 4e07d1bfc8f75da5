"""Training data of the distortion estimator: simulated runs, guides of a released generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.gan.training.cache import cached_volumes
from bids_gan.geometry import resample
from bids_gan.models.registry import Card, find_card, load_model
from bids_gan.simulate.blip import BlipRuns, Scene, render_person
from bids_gan.simulate.head import prepare_head
from bids_gan.simulate.labels import load_label_map
from bids_gan.synthesis.generate import synthesise

#: voxel size on which generators work, mm
_GENERATOR_MM = 1.0
VALIDATION_STEPS = 6

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
    seen = BlipRuns(people["train"], batch, seed=seed)
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
    """One person of a label map, (7, I, J, K)."""

    def build() -> np.ndarray:
        model = load_model(card)

        def synthetic_fa(scene: Scene) -> np.ndarray:
            return generated(scene, model)

        head = prepare_head(load_label_map(label_map))
        return render_person(head, np.random.default_rng([number, 5]), synthetic_fa)

    return cached_volumes([label_map], cache / f"{card.sha256[:12]}-{number}", build)


def generated(scene: Scene, model) -> np.ndarray:
    """What a generator makes of a rendered T1w, on its grid."""
    step = _GENERATOR_MM / float(scene.affine[0, 0])
    shape = tuple(int((n - 1) / step) + 1 for n in scene.t1w.shape)
    affine = scene.affine @ np.diag([step, step, step, 1.0])

    def fine(image, order=1):
        return resample(image, scene.affine, shape, affine, order=order)

    anatomy = Anatomy(
        t1w=fine(scene.t1w),
        mask=fine(scene.brain.astype(np.float32)) > 0.5,
        tissue=fine(scene.tissue.astype(np.uint8), order=0),
        structures=np.zeros(shape, np.uint8),
        white=fine((scene.tissue == 3).astype(np.float32)),
        affine=affine,
        to_mni=scene.to_mni,
    )
    image = synthesise(anatomy, model)
    return resample(image.mean, image.affine, scene.t1w.shape, scene.affine)
