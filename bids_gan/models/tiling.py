"""Tiled against whole-volume inference of a model or recipe on a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.anatomy.prepare import Anatomy, prepare_t1w
from bids_gan.anatomy.template import template_t1w, template_white
from bids_gan.errors import UsageError
from bids_gan.evaluate.tiling import TilingResult, compare_tilings
from bids_gan.gan.inference import run_network
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.memory import find_recipe, recipe_neighbours
from bids_gan.models.registry import find_card, load_model
from bids_gan.synthesis.generate import generator_input, image_of

#: share of white matter, of 255, from which a voxel of the template is white
WHITE = 230


def template_anatomy() -> Anatomy:
    """The MNI152 brain in place of a person's; its structures are not known."""
    image = template_t1w()
    t1w, white = (np.asarray(x.dataobj, np.float32) for x in (image, template_white()))
    t1w /= t1w[white > WHITE].mean()
    nothing = np.zeros(t1w.shape, np.uint8)
    return Anatomy(t1w, t1w > 0, nothing, nothing, white / 255, image.affine, np.eye(4))


def measured_anatomy(path: Path) -> Anatomy:
    """A person's anatomy from the T1w."""
    return prepare_t1w(nib.load(path), load_model(find_card("anatomy")).network, name=str(path))


def tile_model(
    name: str,
    anatomy: Anatomy,
    tiles: Sequence[int],
    overlaps: Sequence[float],
    *,
    untrained: bool = False,
    precision: str = "auto",
    device: str = "cpu",
) -> Iterator[TilingResult]:
    """Compare the ways to run a generator on a person.

    Parameters
    ----------
    name : str
        Of a released model or its path; or of a recipe.
    anatomy : Anatomy
    tiles : sequence of int
    overlaps : sequence of float
        Shares of the edge.
    untrained : bool
        Whether `name` is a recipe, whose network has random weights.
    precision : {'auto', 'bf16', 'fp32'}
    device : str

    Raises
    ------
    UsageError
        When the network makes no image, or needs other inputs than a T1w.
    """
    recipe = find_recipe(name)
    if untrained:
        network, output = build_network(recipe["network"]).eval(), recipe.get("output")
    else:
        model = load_model(find_card(name))
        network, output = model.network, model.card.text.get("Output", {})
    if output is None or recipe.get("target") == "anatomy":
        raise UsageError(f"{name}: names structures and makes no image to compare")
    inputs = tuple(recipe.get("inputs", ["T1w"]))
    if set(inputs) - {"T1w", "head", "position"}:
        raise UsageError(f"{name}: needs {', '.join(inputs)}; only a T1w is at hand")
    channels, mask, _ = generator_input(anatomy, inputs)
    neighbours = recipe_neighbours(recipe)

    def make(tile: int | None, overlap: float) -> np.ndarray:
        raw = run_network(network, channels, precision, device, tile, overlap, neighbours)
        return image_of(raw, output)[0]

    return compare_tilings(make, mask & (channels[0] != 0), tiles, overlaps)
