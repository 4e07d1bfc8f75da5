"""How much of the gap to another scanner fine-tuning closes with the pairs of few people.

    python benchmarks/finetune.py --pairs PAIRS --model t1w-to-fa --people 1 5 20

`PAIRS` is a folder that ``bids-gan-model pairs`` wrote. The scanner is simulated: the T1w of every
pair is changed, its target is not. Three generators look at the changed images of people whom none
of them was fine-tuned on: the released one (before), fine-tuned ones (after) and one that was
trained from nothing on all the changed pairs (the upper bound). The share of the gap is
(before - after) / (before - upper bound) in mean absolute error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from bids_gan.models.data import Folders, training_data
from bids_gan.models.finetune import LAYERS, finetune, finetune_recipe
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe, run_recipe
from bids_gan.models.registry import Card, find_card, load_model

#: intensity before (white matter 1) -> after: an inversion time that suppresses white matter, so
#: that grey is brighter than it; of a weaker change the released generator takes no notice
CONTRAST = ([0.0, 0.28, 0.65, 1.0, 1.5], [0.0, 0.6, 1.1, 1.0, 0.95])
#: slices of 1.5 mm: what each voxel of 1 mm takes from those above and below
SLICE_PROFILE = np.array([0.25, 1.0, 0.25]) / 1.5
#: how much brighter the surface is than the centre, and one side than the other
COIL_SURFACE, COIL_SIDE = 0.3, 0.15
NOISE = 0.03


def other_scanner(t1w: np.ndarray, seed: int) -> np.ndarray:
    """Change a normalised T1w (I, J, K; RAS+, 1 mm, zero outside the brain) as a scanner would."""
    mask = t1w > 0
    image = np.interp(t1w, *CONTRAST)
    image = ndimage.convolve1d(image, SLICE_PROFILE, axis=2, mode="nearest")
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in t1w.shape), indexing="ij")
    coil = 1 + COIL_SURFACE * (x**2 + y**2 + z**2) / 3 + COIL_SIDE * x
    image *= coil / coil[mask].mean()
    rng = np.random.default_rng(seed)
    real, imaginary = rng.normal(0, NOISE, (2, *t1w.shape))
    return np.where(mask, np.hypot(image + real, imaginary), 0).astype(np.float32)


def shift_pairs(source: Path, target: Path, people: list[str]) -> None:
    """Copy pairs, their T1w changed by :func:`other_scanner`."""
    for label in people:
        shutil.copytree(source / f"sub-{label}", target / f"sub-{label}")
        name = f"sub-{label}_space-generator_desc-normalised_T1w.nii.gz"
        path = target / f"sub-{label}" / "anat" / name
        image = nib.load(path)
        changed = other_scanner(np.asarray(image.dataobj, np.float32), people.index(label))
        path.unlink()
        nib.save(nib.Nifti1Image(changed, image.affine), path)


def score(card: Card, recipe: dict, pairs: Path, people: list[str]) -> dict[str, float]:
    """Mean validation numbers of a model over people."""
    recipe = {**recipe, "people": {"train": people[:1], "validation": people}}
    network = load_model(card).network
    method = make_method(network, {k: v for k, v in recipe.items() if k != "adversarial"})
    _, validation = training_data(recipe, Folders(pairs=pairs), pairs / "cache")
    scores = [method.score(network, batch) for batch in validation()]
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--model", default="t1w-to-fa")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--test", nargs="+", help="default: people the model was not trained on")
    parser.add_argument("--layers", nargs="+", choices=tuple(LAYERS), default=["all"])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--upper-steps", type=int, help="default: the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="keep runs here; default: a temporary folder")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        print(table(options, options.output or Path(temporary)))


def table(options: argparse.Namespace, folder: Path) -> str:
    """Run everything and lay it out."""
    card = find_card(options.model)
    recipe = card.text.get("Recipe") or read_recipe(card.name)
    everybody = sorted(path.parent.name[4:] for path in options.pairs.glob("sub-*/pair.json"))
    known = {"people": {}, **recipe}["people"].get("train", [])
    test = options.test or [label for label in everybody if label not in known]
    pool = [label for label in everybody if label not in test]
    if not test or not pool:
        sys.exit(f"{options.pairs}: {len(pool)} people to learn from, {len(test)} to test on")
    shifted = folder / "shifted"
    if not shifted.exists():
        shift_pairs(options.pairs, shifted, everybody)

    upper_recipe = {**recipe, "people": {"train": pool, "validation": [], "test": test}}
    upper_recipe = {k: v for k, v in upper_recipe.items() if k != "label_maps"}
    upper = run_recipe(
        {"inputs": list(card.inputs), **upper_recipe},
        Folders(pairs=shifted),
        folder / "upper",
        steps=options.upper_steps,
    )
    rows = [
        ("released, its own scanner", score(card, recipe, options.pairs, test)),
        ("released (before)", score(card, recipe, shifted, test)),
        ("trained there (upper bound)", score(upper, recipe, shifted, test)),
    ]
    before, best = rows[1][1]["l1"], rows[2][1]["l1"]
    for layers in options.layers:
        for count in options.people:
            if count > len(pool):
                print(f"only {len(pool)} people: {count} are left out", file=sys.stderr)
                continue
            tuning = finetune_recipe(
                card,
                pool[:count],
                layers=layers,
                steps=options.steps,
                learning_rate=options.learning_rate,
            )
            tuned = finetune(card, shifted, folder / f"{layers}-{count}", tuning)
            rows.append((f"fine-tuned, {count}, {layers}", score(tuned, recipe, shifted, test)))
    if before <= best:
        print("no gap: the upper bound needs more --upper-steps", file=sys.stderr)
    lines = ["| generator | L1 | r | share of the gap |", "|---|---|---|---|"]
    for name, s in rows:
        shown = "fine" in name and before > best
        share = f"{(before - s['l1']) / (before - best):.0%}" if shown else ""
        lines.append(f"| {name} | {s['l1']:.4f} | {s['r']:.3f} | {share} |")
    text = "\n".join(lines)
    (folder / "table.md").write_text(text + "\n")
    (folder / "table.json").write_text(json.dumps(dict(rows), indent=2) + "\n")
    return f"{len(test)} people tested: {' '.join(test)}\n{text}"


if __name__ == "__main__":
    main()
