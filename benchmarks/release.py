"""Put a trained model into the package, its card with what was measured of it.

    python benchmarks/release.py RUN/NAME.json [--evaluation RESULTS]

RESULTS was written by ``bids-gan-model evaluate --output``; its table goes into the card. Without
it the weights are new, and the commit that is checked out is noted as theirs.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
from pathlib import Path

from bids_gan.models.registry import FOLDER, file_sha256, read_card

MEASURES = ("r", "psnr", "ssim", "mae", "r_high_fa", "psnr_raw", "mae_raw", "sharpness")


def metrics(folder: Path) -> dict[str, dict]:
    """Means of a summary table: image -> measure -> value."""
    table: dict[str, dict] = {}
    with (folder / "summary.tsv").open(newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["measure"] in MEASURES and row["mean"] != "n/a":
                table.setdefault(row["image"], {})[row["measure"]] = round(float(row["mean"]), 4)
    people = (folder / "people.tsv").read_text().splitlines()[1:]
    names = sorted({line.split("\t")[0] for line in people})
    return {"People": names, "Mean": table}


def main() -> None:
    """Copy weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument("--evaluation", type=Path)
    options = parser.parse_args()
    card = read_card(options.card)
    if file_sha256(card.weights) != card.sha256:
        parser.error(f"{card.weights}: not the weights of this card")
    text = dict(card.text)
    if options.evaluation:
        text["Metrics"] = metrics(options.evaluation)
    else:  # new weights: measured anew, and made from this commit
        text.pop("Metrics", None)
        git = ["git", "rev-parse", "--short=10", "HEAD"]
        text["Commit"] = subprocess.run(git, check=True, capture_output=True, text=True).stdout
        text["Commit"] = text["Commit"].strip()
    target = FOLDER / card.weights.name
    if target != card.weights.resolve():
        shutil.copyfile(card.weights, target)
    target.with_suffix(".json").write_text(json.dumps(text, indent=2) + "\n")


if __name__ == "__main__":
    main()
