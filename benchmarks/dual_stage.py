"""Train a segmenter on what the dual-stage GAN makes, and another on what that learnt from.

    python benchmarks/dual_stage.py LABELMAPS OUTPUT --figure docs/methods/figures/dual_stage.png

LABELMAPS is the folder of whole-head label maps. Both segmenters are one network, trained for as
many steps from the same start, and tested on simulated images of people whom neither they nor the
GAN have seen. A run that was stopped continues.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from bids_gan.anatomy.segment import STRUCTURES
from bids_gan.gan.losses.segmentation import dice_scores
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.template import AFFINE
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.contrasts import middle_slice
from bids_gan.gan.training.figure import write_preview
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.data import Folders
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe, run_recipe
from bids_gan.models.registry import load_network
from bids_gan.simulate.contrasts import WholeBrains
from bids_gan.simulate.labels import load_label_map

Batches = Callable[[int], dict[str, Tensor]]
WIDTHS = (16, 32, 64)
#: standard deviation of the entries of a random affine matrix
SPREAD = 0.08


def simulated(recipe: dict, label_maps: Path, group: str, seed: int) -> Batches:
    """Images of a group of the recipe's people, and their labels as far as the image goes."""
    people, data = recipe["label_maps"][group], recipe["data"]
    paths = (next(label_maps.glob(f"*seg_{person}.nii.gz")) for person in people)
    maps = [load_label_map(path) for path in paths]
    contrasts, spacing = recipe["simulation"]["contrasts"], data["spacing"]
    brains = WholeBrains(maps, data["patch"], data["batch"], contrasts, False, seed, spacing)

    def batch(step: int) -> dict[str, Tensor]:
        found = brains.batch(step)
        if recipe["network"].get("dimensions", 3) == 2:
            found = middle_slice(found)
        labels = found["labels"] * found["mask"][:, 0].long()
        return {"input": found["contrasts"], "labels": labels}

    return batch


def generated(recipe: dict, network: nn.Module) -> Batches:
    """Images of nobody, and their labels."""
    method = make_method(network, recipe)

    @torch.no_grad()
    def batch(step: int) -> dict[str, Tensor]:
        torch.manual_seed(step)
        labels, images = method.draw(network, recipe["data"]["batch"], torch.device("cpu"))
        return {"input": images, "labels": labels}

    return batch


def template_alone(network: nn.Module) -> nn.Module:
    """The generator with a dumb first stage: its template, which everybody is, lying at random."""
    dumb = copy.deepcopy(network)
    dumb.shape.change.layer.weight.data.zero_()
    dumb.shape.change.layer.bias.data.zero_()

    affine, knots = dumb.shape.template.parts

    def lie(z: Tensor) -> Tensor:
        bend = SPREAD / AFFINE * torch.randn(len(z), affine)
        return torch.cat([bend, torch.zeros(len(z), knots)], dim=1)

    dumb.shape.template.bend.forward = lie
    return dumb


def dice_of_a_segmenter(
    batches: Batches, test: list[dict[str, Tensor]], folder: Path, recipe: dict, steps: int
) -> Tensor:
    """Dice of each tissue over all voxels of the test, after training on `batches`."""
    torch.manual_seed(0)
    classes, dimensions = recipe["network"]["classes"], recipe["network"].get("dimensions", 3)
    network = SpaceToDepthUNet(1, classes, WIDTHS, dimensions)
    settings = TrainingSettings(
        steps, freeze_statistics=steps // 2, validate_every=steps, preview_every=0,
        average_decay=0.98, precision="fp32", workers=0,
    )  # fmt: skip
    method = Segmentation(network, learning_rate=2e-3)
    trained = train(method, batches, lambda: (), folder, settings)
    with torch.no_grad():
        found = torch.cat([trained(batch["input"]).argmax(1) for batch in test])
    truth = torch.cat([batch["labels"] for batch in test])
    return dice_scores(found, truth, classes)[1:]


def main() -> None:
    """Print Dice coefficients, a row a training set, and their ratio to those of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--dimensions", type=int, default=3, choices=(2, 3))
    parser.add_argument("--minutes", type=float, default=None, help="other than the recipe's")
    parser.add_argument("--steps", type=int, default=300, help="of each segmenter")
    parser.add_argument("--batches", type=int, default=16, help="to test on")
    parser.add_argument("--figure", type=Path, default=None, help="PNG file of what is made")
    options = parser.parse_args()
    recipe = read_recipe("dual-stage")
    recipe["network"]["dimensions"] = options.dimensions
    folders = Folders(label_maps=options.label_maps)
    card = run_recipe(recipe, folders, options.output / "gan", minutes=options.minutes)
    network = load_network(card).eval()
    seed = recipe["seed"] + 1000
    sources = {
        "simulated": simulated(recipe, options.label_maps, "train", seed),
        "template": generated(recipe, template_alone(network)),
        "generated": generated(recipe, network),
    }
    unseen = simulated(recipe, options.label_maps, "test", seed + 1)
    test = [unseen(step) for step in range(options.batches)]
    if options.figure:
        batch = {"mask": (test[0]["labels"] > 0).unsqueeze(1).float(), **test[0]}
        panels = make_method(network, recipe).preview(network, batch)
        write_preview(options.figure, panels, f"{card.text['Steps']} steps")
    print("| trained on | " + " | ".join(STRUCTURES[1:]) + " | mean | ratio |")
    print("|---" * (len(STRUCTURES) + 2) + "|")
    means = []
    for name, batches in sources.items():
        folder = options.output / name
        scores = dice_of_a_segmenter(batches, test, folder, recipe, options.steps)
        means.append(float(scores.nanmean()))
        row = " | ".join(f"{score:.3f}" for score in scores.tolist())
        print(f"| {name} | {row} | {means[-1]:.3f} | {means[-1] / means[0]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
