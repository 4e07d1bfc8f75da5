"""Anatomy network: overlap with simulated truth, and with a registered template on real people.

    python benchmarks/anatomy.py --simulated DATASET --real BIDS_DIR [BIDS_DIR ...]
    python benchmarks/anatomy.py --validation LABELMAPS --model RUN/anatomy.json

DATASET was written by ``bids-gan-model simulate`` from label maps that the network never saw, with
contrasts by physics, while the network learnt from random ones.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.prepare import UPPER_PART, prepare_t1w
from bids_gan.anatomy.segment import ALL_WHITE, STRUCTURES, brain_of, find_structures
from bids_gan.anatomy.template import template_white
from bids_gan.geometry import resample
from bids_gan.models.data import Folders, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe
from bids_gan.models.registry import find_card, load_model, load_network
from bids_gan.pairs.template import warp_templates
from bids_gan.simulate.labels import RIGHT_TO_LEFT, class_table
from bids_gan.synthesis.generate import crop_to_brain


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def simulated(dataset: Path, network) -> None:
    """Table of Dice coefficients, a row a person."""
    names = STRUCTURES[1:]
    print("| simulated person | brain mask | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    rows = []
    for path in sorted(dataset.glob("sub-*/**/*_T1w.nii.gz")):
        anatomy = prepare_t1w(nib.load(path), network, name=str(path))
        label = path.name.split("_")[0]
        truth = nib.load(dataset / f"derivatives/truth/{label}/anat/{label}_dseg.nii.gz")
        labels = np.asarray(truth.dataobj).astype(np.int64)
        for right, left in RIGHT_TO_LEFT.items():
            labels[labels == right] = left
        classes = class_table()[labels]
        classes = resample(classes, truth.affine, anatomy.mask.shape, anatomy.affine, order=0)
        row = [dice(brain_of(classes), anatomy.mask)]
        row += [dice(classes == n, anatomy.structures == n) for n in range(1, len(STRUCTURES))]
        rows.append(row)
        print(f"| {label} | " + " | ".join(f"{x:.3f}" for x in row) + " |", flush=True)
    print("| mean | " + " | ".join(f"{x:.3f}" for x in np.mean(rows, 0)) + " |\n")


def real(folder: Path, network) -> None:
    """Mask volume, holes, time, and white matter against the registered template."""
    for path in sorted(folder.glob("sub-*/**/*_T1w.nii.gz")):
        anatomy = prepare_t1w(nib.load(path), network, name=str(path))
        start = time.perf_counter()
        brain_of(find_structures(network, anatomy.t1w, box=UPPER_PART))
        seconds = time.perf_counter() - start
        holes = ndimage.binary_fill_holes(anatomy.mask).sum() - anatomy.mask.sum()
        (warped,) = warp_templates([template_white()], anatomy)
        _, _, affine = crop_to_brain(anatomy)
        found = np.isin(anatomy.structures, ALL_WHITE).astype(np.float32)
        found = resample(found, anatomy.affine, warped.shape, affine) > 0.5
        print(
            f"| {folder.name} {path.name.split('_')[0]} | {anatomy.mask.sum() / 1000:.0f} "
            f"| {holes} | {dice(found, warped > 127):.3f} | {seconds:.2f} |",
            flush=True,
        )


def validation(label_maps: Path, model: str) -> None:
    """Numbers by which releases are chosen: of the recipe's validation heads, random contrasts."""
    recipe = read_recipe("anatomy")
    network = load_network(find_card(model)).eval()
    method = make_method(network, recipe)
    with TemporaryDirectory() as cache:
        _, batches = training_data(recipe, Folders(label_maps=label_maps), Path(cache))
        scores = [method.score(network, batch) for batch in batches()]
    for name in scores[0]:
        print(f"validation {name}: {np.mean([score[name] for score in scores]):.3f}")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulated", type=Path, help="dataset of `bids-gan-model simulate`")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="BIDS datasets")
    parser.add_argument("--validation", type=Path, help="folder of whole-head label maps")
    parser.add_argument("--model", default="anatomy")
    options = parser.parse_args()
    if options.validation:
        validation(options.validation, options.model)
    network = load_model(find_card(options.model)).network
    if options.simulated:
        simulated(options.simulated, network)
    if options.real:
        print("| person | brain mask ml | holes | white-matter Dice | network s |")
        print("|---|---|---|---|---|")
        for folder in options.real:
            real(folder, network)


if __name__ == "__main__":
    main()
