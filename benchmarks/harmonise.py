"""How much of what a tissue classifier loses on another scanner harmonisation gives back.

    python benchmarks/harmonise.py LABELMAPS OUTPUT --figure docs/methods/figures/harmonisation.png

LABELMAPS is the folder of whole-head label maps. The recipe names two scanners. A classifier of
fluid, grey and white matter learns from images of scanner A alone; it then looks at whole brains
of people whom neither it nor the harmonisation was trained on, in scanner A, in scanner B, and in
what each kind of harmonisation makes of B. The share of the loss that comes back is
(Dice - Dice on B) / (Dice on A - Dice on B). A run that was stopped continues, one that was
finished is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bids_gan.anatomy.segment import find_structures
from bids_gan.anatomy.standard import even, match_tones, tones
from bids_gan.evaluate.baselines import Voxels, match_histogram
from bids_gan.gan.heads import bounded
from bids_gan.gan.inference import infer
from bids_gan.gan.losses.segmentation import dice_scores
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.figure import write_preview
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.data import Folders, read_maps
from bids_gan.models.recipe import read_recipe, run_recipe
from bids_gan.models.registry import Card, find_card, load_model, load_network, read_card
from bids_gan.models.scans import people_by_scanner, scanners
from bids_gan.simulate.scanner import Scanner, ScannerPatches, whole_scan
from bids_gan.synthesis.generate import field_of_view

TISSUES = ("fluid", "grey", "white")
#: class of the anatomy network -> tissue, 0 for none
TISSUE_OF_CLASS = torch.tensor([0, 1, 2, 2, 3, 2, 3, 3])
#: image and mask, (I, J, K) arrays -> image
Look = Callable[[np.ndarray, np.ndarray], np.ndarray]
Batch = dict[str, Tensor]


def tissues(batch: Batch) -> Tensor:
    """Tissue of every voxel inside the mask, (N, p, p, p)."""
    return TISSUE_OF_CLASS[batch["labels"]] * (batch["mask"][:, 0] > 0)


def classifier(
    scanner: Scanner, maps: list[np.ndarray], folder: Path, steps: int, seed: int
) -> nn.Module:
    """Train a tissue classifier on the images of one scanner."""
    patches = ScannerPatches(maps, 64, 2, [scanner], seed)

    def batches(step: int) -> Batch:
        batch = patches.batch(step)
        return {"input": batch["contrasts"], "labels": tissues(batch)}

    settings = TrainingSettings(
        steps, steps // 2, checkpoint_every=25, preview_every=0, average_decay=0.98, seed=seed
    )
    torch.manual_seed(seed)
    method = Segmentation(SpaceToDepthUNet(1, 1 + len(TISSUES), (16, 32, 64)), learning_rate=4e-3)
    return train(method, batches, lambda: (), folder, settings)


def trained(recipe: dict, options: argparse.Namespace) -> Card:
    """Train by the recipe, unless that was done before."""
    folder = options.output / recipe["name"]
    if (done := folder / f"{recipe['name']}.json").exists():
        return read_card(done)
    folders = Folders(label_maps=options.label_maps)
    return run_recipe(recipe, folders, folder, steps=options.steps, minutes=options.minutes)


def classify(network: nn.Module, image: np.ndarray, mask: np.ndarray) -> Tensor:
    """Tissue of every voxel, (1, I, J, K)."""
    x = torch.as_tensor(np.where(mask, image, 0), dtype=torch.float32)[None, None]
    with torch.inference_mode():
        return network(x).argmax(1) * torch.as_tensor(mask)


def histogram(reference: np.ndarray) -> Look:
    """Rising curve to the histogram of the reference."""
    return lambda image, mask: match_histogram(image, mask, Voxels(image[mask], reference))


def z_score(reference: np.ndarray) -> Look:
    """Straight line to mean and standard deviation of the reference."""

    def look(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        inside = image[mask]
        return reference.mean() + (image - inside.mean()) / inside.std() * reference.std()

    return look


def without_bias(look: Look) -> Look:
    """Correct the bias field by N4 before."""

    def corrected(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return look(even(image, mask, np.eye(4)), mask)

    return corrected


def toned(wanted: np.ndarray) -> Look:
    """Fluid to fluid, and the histogram of other tissue to that of the other scanner."""
    network = load_model(find_card("anatomy")).network

    def look(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        inside = image * mask
        structures = find_structures(network, inside / np.percentile(image[mask], 75)) * mask
        return match_tones(inside, tones(inside, structures), wanted)

    return look


def translated(before: Look, network: nn.Module, value_range: str, tile: int | None) -> Look:
    """What a generator makes of an image that was prepared as those it learnt from."""

    def look(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        x = torch.as_tensor(before(image, mask), dtype=torch.float32)[None, None]
        with torch.inference_mode():
            return bounded(infer(network, x, tile), value_range)[0, 0].numpy()

    return look


def measure(
    network: nn.Module, looks: dict[str, Look], people: Iterator[Batch]
) -> Iterator[tuple[dict[str, list[float]], dict[str, Tensor]]]:
    """Dice of each tissue by look, and slices to draw, a person at a time."""
    for scan in people:
        mask = scan["mask"][0].numpy() > 0
        truth = (TISSUE_OF_CLASS[scan["labels"]] * torch.as_tensor(mask))[None]
        source, target = scan["contrasts"].numpy()
        images = {"scanner A": target, "scanner B": source}
        images |= {name: look(source, mask) for name, look in looks.items()}
        found = {name: classify(network, image, mask) for name, image in images.items()}
        scores = {
            name: dice_scores(own, truth, 1 + len(TISSUES))[1:].tolist()
            for name, own in found.items()
        }
        # the last look is the one that is shown
        shown = ("scanner B", list(images)[-1], "scanner A")
        panels = {name: torch.as_tensor(images[name] * mask) for name in shown}
        panels |= {f"tissues, {name}": found[name][0] for name in shown}
        panels["truth"] = truth[0]
        yield scores, {name: panel[..., panel.shape[-1] // 2] for name, panel in panels.items()}


def table(scores: list[dict[str, list[float]]]) -> str:
    """Lay out the means over people."""
    mean = {name: np.mean([one[name] for one in scores], axis=0) for name in scores[0]}
    best, worst = mean["scanner A"].mean(), mean["scanner B"].mean()
    lines = [f"| images | {' | '.join(TISSUES)} | mean Dice | of the loss comes back |"]
    lines += ["|---" * (len(TISSUES) + 3) + "|"]
    for name, values in mean.items():
        share = f"{(values.mean() - worst) / (best - worst):.0%}"
        numbers = " | ".join(f"{value:.3f}" for value in (*values, values.mean()))
        lines.append(f"| {name} | {numbers} | {'' if name.startswith('scanner') else share} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is not trained, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--recipe", default="harmonisation", help="name, or path of a TOML file")
    parser.add_argument("--minutes", type=float, help="of the harmonisation, instead of its steps")
    parser.add_argument("--steps", type=int, help="of the harmonisation, other than its recipe's")
    parser.add_argument("--classifier-steps", type=int, default=200)
    parser.add_argument("--people", choices=("validation", "test"), default="test")
    parser.add_argument("--scans", type=int, default=2, help="of each of them")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    both, seed = scanners(recipe), recipe["seed"]
    in_target = read_maps(options.label_maps, people_by_scanner(recipe)[1])
    folder = options.output / "classifier"
    network = classifier(both[1], in_target, folder, options.classifier_steps, seed)
    card = trained(recipe, options)
    generator = load_network(card).eval()
    seen = ScannerPatches(in_target, 96, len(in_target), both[1:], seed + 3).batch(0)
    reference = seen["contrasts"][seen["mask"] > 0].numpy()
    prepared = without_bias(toned(np.array(card.text["Tones"])))
    looks = {
        "z-score": z_score(reference),
        "histogram matching": histogram(reference),
        "N4, then histogram matching": without_bias(histogram(reference)),
        "N4, then tones": prepared,
        "tones, then CycleGAN": translated(
            prepared, generator, recipe["output"]["range"], field_of_view(card)
        ),
    }
    held_out = read_maps(options.label_maps, recipe["label_maps"][options.people]) * options.scans
    scans = (whole_scan(one, both, seed + 1000 + n) for n, one in enumerate(held_out))
    results = list(measure(network.eval(), looks, scans))
    print(table([scores for scores, _ in results]))
    if options.figure:
        write_preview(options.figure, results[0][1], "")


if __name__ == "__main__":
    main()
