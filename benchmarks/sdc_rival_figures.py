"""Error of a field against field strength, SNR and quality of the guide; see ``sdc_rivals.py``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

ROUTES = {"bids-gan, synthetic FA": "o", "ANTs, b0 to T2-like": "x"}
PANELS = {
    "size_p95": "displacement, 95th percentile (mm)",
    "snr": "SNR of the b0 image",
    "quality": "r of synthetic with true FA",
}


def draw(rows: list[dict], folder: Path) -> None:
    """Write ``sdc_errors.png``: mean error of each run as a share of its mean displacement."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(1, 3, sharey=True), PANELS.items(), strict=True):
        for name, marker in ROUTES.items():
            group = [r for r in rows if r["estimator"] == name]
            left = [100 * float(r["error"]) / float(r["size"]) for r in group]
            axes.scatter([float(r[key]) for r in group], left, marker=marker, label=name, s=28)
        axes.axhline(100, color="0.6", linewidth=1)
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel("error, % of the displacement")
    figure.axes[0].set_yscale("log")
    figure.axes[0].legend(fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "sdc_errors.png", dpi=100, metadata={"Software": None})
