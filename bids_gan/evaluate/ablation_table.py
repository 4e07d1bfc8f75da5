"""The table of an ablation, with what is needed to make it again."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from bids_gan.evaluate.ablation import MEASURES, Ablation, Row, addable
from bids_gan.evaluate.table import tsv
from bids_gan.evaluate.write import write_files
from bids_gan.gan.losses.registry import LOSSES

HEADINGS = {"psnr": "PSNR dB", "ssim": "SSIM", "sharpness": "sharpness", "dice": "Dice"}
DIGITS = {"psnr": 2, "ssim": 4, "sharpness": 3, "dice": 4}


def markdown(rows: list[Row], ablation: Ablation, label_maps: Path) -> str:
    """One row a loss: the change that it makes to each measure, with its interval."""
    base = rows[0]
    lines = [
        "| loss added | weight | " + " | ".join(HEADINGS.values()) + " |",
        "|---" * (2 + len(MEASURES)) + "|",
        "| none | | " + " | ".join(f"{base.mean(m):.{DIGITS[m]}f}" for m in MEASURES) + " |",
    ]
    for row in rows[1:]:
        changes = (_change(row.change(base, m), DIGITS[m]) for m in MEASURES)
        lines.append(f"| {row.name} ({row.number}) | {row.weight:g} | {' | '.join(changes)} |")
    return "\n".join([*lines, "", *_notes(ablation, label_maps)])


def _change(values: tuple[float, float, float], digits: int) -> str:
    mean, low, high = values
    if math.isnan(mean):
        return "–"
    text = f"{mean:+.{digits}f}"
    return text if math.isnan(low) else f"{text} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _notes(ablation: Ablation, label_maps: Path) -> list[str]:
    import torch

    from bids_gan import __version__

    command = ["bids-gan-model", "evaluate", "--ablation", "--label-maps", str(label_maps)]
    command += f"--steps {ablation.steps} --seed {ablation.seed} --output RESULTS".split()
    if ablation.losses:
        command += ["--losses", *ablation.losses]
    others = ", ".join(f"{x.name} ({x.number})" for x in LOSSES if not addable(x))
    return [
        "The first row is the value with L1 alone, the others the change from it: mean over "
        f"{ablation.test_patches} patches of {ablation.test_patch}³ voxels of heads not trained "
        "on [95 % bootstrap over patches; the training is one, so its own chance is not in it].",
        "",
        "Task: T1w of random contrast, rendered from label maps, to the T1w of one fixed "
        "sequence. Sharpness is the upper band's share of the spectral power over the truth's: 1 "
        "is right. Dice: of the released anatomy network on the synthetic image against the "
        "labels, mean over its structures.",
        "",
        f"Weights give the gradient of each loss {ablation.share:g} of the norm of that of L1, at "
        "the images of the first row; that of the adversarial loss is fixed. Not among them: "
        f"{others}.",
        "",
        f"{ablation.steps} steps of {ablation.batch} patches of {ablation.patch}³, space-to-depth "
        f"U-Net {'-'.join(map(str, ablation.widths))}, learning rate "
        f"{ablation.learning_rate:g}, seed {ablation.seed}: the same weights to begin with and "
        f"the same patches for all. bids-gan {__version__}, torch {torch.__version__}.",
        "",
        f"    {shlex.join(command)}",
    ]


def table_tsv(rows: list[Row]) -> str:
    """Every mean and change: loss, number, weight, measure, mean, change, low, high."""
    base = rows[0]
    cells = [
        (row.name, row.number, row.weight, m, row.mean(m), *row.change(base, m))
        for row in rows
        for m in MEASURES
    ]
    header = ("loss", "number", "weight", "measure", "mean", "change", "low", "high")
    return tsv(header, cells)


def write_ablation(
    rows: list[Row], ablation: Ablation, label_maps: Path, folder: Path
) -> list[Path]:
    """Write ``ablation.md`` and ``ablation.tsv``."""
    contents = {
        "ablation.md": markdown(rows, ablation, label_maps).encode() + b"\n",
        "ablation.tsv": table_tsv(rows).encode(),
    }
    return write_files(contents, folder)
