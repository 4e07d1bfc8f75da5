"""Two images of opposite phase encoding, with and without what the T1w lets expect of the field.

    python benchmarks/sdc_pair_prior.py LABELMAPS CACHE

Runs of :mod:`sdc_learnt`, recorded with both polarities by a head that lies still between them.
CACHE keeps what was rendered of the label maps. *One blip* is what the network expects of the
first image, its T1w and the synthetic images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from sdc_learnt import AXES, PEAK_MM, SPACINGS, on_grid, rendered, row, summary

from bids_gan.distortion.learnt import predict
from bids_gan.distortion.opposite import PairSettings, Recorded, estimate_from_pair
from bids_gan.distortion.types import FieldPrior
from bids_gan.distortion.units import mm_per_hz
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.blip import NOISE, BlipRun, BlipRuns


def estimates(run: BlipRun, network, settings: PairSettings) -> Iterator[tuple[str, np.ndarray]]:
    """Displacement in mm by the name of what it comes from."""
    measured, guides = run.scene()
    scan = (measured.affine, measured.pe_direction, measured.readout_time)
    mm, sigma = on_grid(predict(measured, guides, np.eye(4), network), measured)
    yield "one blip", mm
    prior = FieldPrior(mm, np.where(guides.mask, sigma, np.inf), measured.affine)
    pair = [
        Recorded(
            nib.Nifti1Image(recorded["b0"].astype(np.float32), measured.affine),
            direction,
            measured.readout_time,
        )
        for recorded, direction in ((run.recorded, "i"), (run.opposite, "i-"))
    ]
    for name, known in (("both blips", None), ("both blips and what is expected", prior)):
        yield name, estimate_from_pair(*pair, settings, known).hz * mm_per_hz(*scan)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--people", nargs="+", default=["17", "18", "19", "20"])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--prior", type=float, default=PairSettings.prior)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = BlipRuns(rendered(options.people, options.label_maps, options.cache), 1)
    network = load_model(find_card("distortion")).network
    rows = []
    for n in range(options.runs):
        axis, spacing = AXES[n % len(AXES)], SPACINGS[n % len(SPACINGS)]
        rng = np.random.default_rng([979, n])
        run = source.run(axis, rng, spacing, PEAK_MM, NOISE, opposite=True)
        for name, mm in estimates(run, network, PairSettings(prior=options.prior)):
            rows.append({"estimator": name, **row(run, (mm, None))})
    print("\n".join(summary(rows, ())))


if __name__ == "__main__":
    main()
