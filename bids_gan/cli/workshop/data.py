"""``bids-gan-model pairs`` and ``simulate``: what models learn from."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parsers(commands) -> None:
    """Add the parsers of these commands to those of ``bids-gan-model``."""
    pairs = commands.add_parser(
        "pairs", help="training pairs from a BIDS dataset: measured, or pseudo from a template"
    )
    pairs.set_defaults(run=_pairs)
    pairs.add_argument("bids_dir", type=Path, help="BIDS dataset with T1w images")
    pairs.add_argument("output_dir", type=Path)
    pairs.add_argument("--target", default="FA", help="FA (default), T2w, FDG or CT")
    pairs.add_argument(
        "--template",
        type=Path,
        default=None,
        help="mean FA image in MNI space: fit it to each T1w when no FA was measured",
    )
    pairs.add_argument("--participant-label", nargs="+", default=None)

    simulate = commands.add_parser(
        "simulate", help="BIDS dataset of simulated people, with the truth behind the images"
    )
    simulate.set_defaults(run=_simulate)
    simulate.add_argument("label_maps", type=Path, help="folder of whole-head label maps, 1 mm")
    simulate.add_argument("output_dir", type=Path)
    simulate.add_argument("--people", type=int, default=200)
    simulate.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    simulate.add_argument(
        "--contrasts",
        nargs="+",
        default=["T1w", "T2w"],
        help="T1w (default), T2w (default), PDw, FLAIR, b0 (distorted EPI), FDG, CT, FA",
    )
    simulate.add_argument("--spacing", type=float, default=1.0, help="voxel size in mm")
    simulate.add_argument(
        "--artefacts", type=float, default=0.5, help="0 (clean images) to 1 (default: 0.5)"
    )
    simulate.add_argument(
        "--jobs", type=int, default=1, help="processes; each needs 1.5 GB at 1 mm"
    )


def _pairs(options: argparse.Namespace) -> int:
    from bids_gan.pairs.make import make_pairs

    make_pairs(
        options.bids_dir,
        options.output_dir,
        options.target,
        options.template,
        options.participant_label,
    )
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from bids_gan.simulate.dataset import simulate_dataset
    from bids_gan.simulate.scans import Request

    contrasts = tuple(dict.fromkeys(options.contrasts))
    request = Request(options.seed, contrasts, options.spacing, options.artefacts)
    simulate_dataset(options.label_maps, options.output_dir, options.people, request, options.jobs)
    return 0
