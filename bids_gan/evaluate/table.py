"""The tables of an evaluation: Markdown to read, TSV to compute with."""

from __future__ import annotations

import csv
import io
import math

from bids_gan.evaluate.metrics import bootstrap_mean
from bids_gan.evaluate.synthesis import UNITS, Result

#: measures of the Markdown table: key, heading, digits
COLUMNS = (
    ("r", "r", 3),
    ("psnr", "PSNR dB", 2),
    ("ssim", "SSIM", 3),
    ("mae", "MAE", 3),
    ("r_high_fa", "r where FA > 0.4", 3),
    ("psnr_raw", "PSNR dB, as is", 2),
    ("mae_raw", "MAE, as is", 3),
    ("sharpness", "sharpness", 2),
)


def summary(results: list[Result], seed: int = 0) -> dict[str, dict[str, tuple]]:
    """Mean and interval over people: image -> measure -> (mean, low, high)."""
    images = list(dict.fromkeys(name for result in results for name in result.scores))
    table = {}
    for image in images:
        scores = [r.scores[image] for r in results if image in r.scores]
        measures = dict.fromkeys(key for s in scores for key in s)
        table[image] = {
            key: bootstrap_mean([s.get(key, math.nan) for s in scores], seed=seed)
            for key in measures
        }
    return table


def markdown(results: list[Result], target: str) -> str:
    """One row an image, with what has to be known to read it."""
    table = summary(results)
    measures = {key for row in table.values() for key in row}
    columns = [column for column in COLUMNS if column[0] in measures]
    lines = [
        "| image | " + " | ".join(heading for _, heading, _ in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for image, row in table.items():
        cells = (_cell(row[key], digits) for key, _, digits in columns)
        lines.append(f"| {image} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _notes(results, target)])


def _cell(values: tuple[float, float, float], digits: int) -> str:
    mean, low, high = values
    if math.isnan(mean):
        return "–"
    text = f"{mean:.{digits}f}"
    return text if math.isnan(low) else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _notes(results: list[Result], target: str) -> str:
    ranges = sorted({f"{result.data_range:.4g}" for result in results})
    people = "1 person" if len(results) == 1 else f"{len(results)} people, mean [95 % bootstrap]"
    border = results[0].case.border_mm
    where = f", {border:g} mm and more from its border" if border else ""
    unit = f" {UNITS[target]}" if UNITS[target] else ""
    return (
        f"{people}. Inside the mask{where}. Data range {', '.join(ranges)}{unit}. PSNR, SSIM and "
        "MAE after a linear fit to the truth, which every row is granted; 'as is' without. "
        "'Fitted to this very person' has seen the truth: an upper bound, not a method. "
        "Sharpness: share of spectral power in the upper band over the truth's."
    )


def summary_tsv(results: list[Result]) -> str:
    """Mean and interval of every measure: image, measure, people, mean, low, high."""
    rows = [
        (image, key, len(results), *values)
        for image, row in summary(results).items()
        for key, values in row.items()
    ]
    return tsv(("image", "measure", "people", "mean", "low", "high"), rows)


def people_tsv(results: list[Result]) -> str:
    """Every measure of every person: person, image, measure, value, data range."""
    rows = [
        (result.case.name, image, key, value, result.data_range)
        for result in results
        for image, scores in result.scores.items()
        for key, value in scores.items()
    ]
    return tsv(("person", "image", "measure", "value", "data_range"), rows)


def tsv(header: tuple, rows: list[tuple]) -> str:
    """Rows as text with tabs between; ``n/a`` for NaN, as BIDS has it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_text(value) for value in row])
    return text.getvalue()


def _text(value) -> str:
    if isinstance(value, float):
        return "n/a" if math.isnan(value) else f"{value:.6g}"
    return str(value)
