"""``bids-gan-model``: the workshop in which the generators are made."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bids_gan import __version__
from bids_gan.cli import impute
from bids_gan.errors import BidsGanError


def get_parser() -> argparse.ArgumentParser:
    """Parser of ``bids-gan-model``."""
    parser = argparse.ArgumentParser(
        prog="bids-gan-model", description="Make, measure and list generators."
    )
    parser.add_argument("--version", action="version", version=f"bids-gan {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    pairs = commands.add_parser(
        "pairs", help="training pairs from a BIDS dataset: measured, or pseudo from a template"
    )
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

    train = commands.add_parser("train", help="train a model by a recipe")
    train.add_argument("recipe", help="name of a recipe of the package, or a TOML file")
    train.add_argument("--data", type=Path, help="pairs, as `bids-gan-model pairs` wrote them")
    train.add_argument("--label-maps", type=Path, help="whole-head label maps")
    train.add_argument("--output", type=Path, required=True, help="folder of the run")
    train.add_argument("--steps", type=int, default=None, help="instead of the recipe's number")
    train.add_argument(
        "--minutes", type=float, default=None, help="wall time to train for instead of steps"
    )
    train.add_argument("--start", help="model whose weights to begin with, as far as they fit")
    train.add_argument(
        "--baseline",
        choices=("pix2pix", "cyclegan"),
        help="train this classical GAN on the recipe's data instead, to compare with",
    )
    _add_device(train)

    finetune = commands.add_parser(
        "finetune", help="train a model further on your scanner's pairs"
    )
    finetune.add_argument("model", help="name, or path of a .safetensors file")
    finetune.add_argument("--data", type=Path, required=True, help="folder of pairs")
    finetune.add_argument("--people", nargs="+", required=True, help="labels to learn from")
    finetune.add_argument("--validation", nargs="+", default=(), help="labels to pick the best by")
    finetune.add_argument("--output", type=Path, required=True, help="folder of the run")
    finetune.add_argument(
        "--layers", default="all", choices=("all", "decoder", "head", "statistics")
    )
    finetune.add_argument("--steps", type=int, default=300)
    finetune.add_argument("--learning-rate", type=float, default=3e-4)
    _add_device(finetune)

    evaluate = commands.add_parser(
        "evaluate", help="synthetic images against the truth, beside baselines"
    )
    evaluate.add_argument("t1w", type=Path, nargs="?", help="of one person; or use --people")
    evaluate.add_argument("truth", type=Path, nargs="?", help="measured image of that person")
    evaluate.add_argument("--people", type=Path, default=None, help="TOML file that names people")
    evaluate.add_argument("--target", default=None, help="FA (default), T2w, FDG or CT")
    evaluate.add_argument(
        "--mask", type=Path, default=None, help="where to score, in the truth's space; else brain"
    )
    evaluate.add_argument("--template", type=Path, default=None, help="mean image, MNI space")
    evaluate.add_argument(
        "--model", nargs="+", default=[], help="generators by name or path; else the released one"
    )
    evaluate.add_argument(
        "--register", action="store_true", help="align truth and T1w (rigid) first"
    )
    evaluate.add_argument("--output", type=Path, default=None, help="folder for tables, figures")
    ablation = evaluate.add_argument_group(
        "ablation", "what each loss changes, measured on simulated images instead of people"
    )
    ablation.add_argument(
        "--ablation", action="store_true", help="train with each loss in turn; needs --output"
    )
    ablation.add_argument("--label-maps", type=Path, default=None, help="whole-head label maps")
    ablation.add_argument("--losses", nargs="+", default=[], help="by name; all when omitted")
    ablation.add_argument("--steps", type=int, default=300, help="of each training")
    ablation.add_argument("--seed", type=int, default=0)
    _add_device(ablation)

    tiling = commands.add_parser(
        "tiling", help="how far an image made in tiles lies from the whole volume's"
    )
    tiling.add_argument("model", help="name or path of a model; a recipe with --untrained")
    tiling.add_argument("t1w", type=Path, nargs="?", help="of a person; else the MNI152 template")
    tiling.add_argument("--untrained", action="store_true", help="random weights, by a recipe")
    tiling.add_argument("--tiles", type=int, nargs="+", default=[32, 64, 96], help="voxels")
    tiling.add_argument("--overlaps", type=float, nargs="+", default=[0, 25, 50], help="percent")
    _add_precision(tiling)
    _add_device(tiling)

    memory = commands.add_parser(
        "plan-memory", help="predict the memory that training and inference need"
    )
    memory.add_argument("model", help="recipe or released model, by name or path")
    memory.add_argument("--volume", type=int, nargs=3, default=(160, 192, 160), help="voxels")
    memory.add_argument("--tile", type=int, default=None, help="edge of cubes; else at once")
    memory.add_argument("--patch", type=int, default=None, help="instead of the recipe's")
    memory.add_argument("--batch", type=int, default=None, help="instead of the recipe's")
    memory.add_argument("--memory-gb", type=float, default=None, help="say what fits into it")
    _add_precision(memory)

    imputation = impute.add_parser(commands)
    _add_precision(imputation)
    _add_device(imputation)

    commands.add_parser("list", help="released models")
    show = commands.add_parser("show", help="print a model's card")
    show.add_argument("model", help="name, or path of a .safetensors file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run ``bids-gan-model``; returns the exit code."""
    options = get_parser().parse_args(argv)
    os.environ.setdefault("ANTS_RANDOM_SEED", "1")
    try:
        return COMMANDS[options.command](options)
    except BidsGanError as error:
        print(f"bids-gan-model: {error}", file=sys.stderr)
        return error.exit_code


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


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    parser.add_argument("--threads", type=int, default=None, help="processor threads")


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))


@contextmanager
def _processes(options: argparse.Namespace) -> Iterator[str]:
    """Device of this process, alone or as one of those that torchrun started."""
    import torch

    from bids_gan.gan.training.distributed import process_group
    from bids_gan.synthesis.device import choose_device

    if options.threads:
        torch.set_num_threads(options.threads)
    with process_group(choose_device(options.device)) as device:
        yield device


def _train(options: argparse.Namespace) -> int:
    from bids_gan.models.baseline import baseline_of
    from bids_gan.models.data import Folders
    from bids_gan.models.recipe import read_recipe, run_recipe

    recipe = read_recipe(options.recipe)
    if options.baseline:
        recipe = baseline_of(recipe, options.baseline)
    with _processes(options) as device:
        card = run_recipe(
            recipe,
            Folders(options.data, options.label_maps),
            options.output,
            steps=options.steps,
            minutes=options.minutes,
            start=options.start,
            device=device,
        )
    print(f"wrote {card.weights}")
    return 0


def _finetune(options: argparse.Namespace) -> int:
    from bids_gan.models.finetune import finetune, finetune_recipe
    from bids_gan.models.registry import find_card

    parent = find_card(options.model)
    recipe = finetune_recipe(
        parent,
        options.people,
        validation=options.validation,
        layers=options.layers,
        steps=options.steps,
        learning_rate=options.learning_rate,
    )
    with _processes(options) as device:
        card = finetune(parent, options.data, options.output, recipe, device)
    print(f"wrote {card.weights}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    return _ablation(options) if options.ablation else _people(options)


def _ablation(options: argparse.Namespace) -> int:
    from bids_gan.errors import UsageError
    from bids_gan.evaluate.ablation import Ablation, run_ablation
    from bids_gan.evaluate.ablation_table import markdown, write_ablation

    if options.label_maps is None or options.output is None:
        raise UsageError("--ablation needs --label-maps FOLDER and --output FOLDER")
    if options.t1w or options.people:
        raise UsageError("--ablation measures on simulated images; leave out T1W and --people")
    ablation = Ablation(tuple(options.losses), options.steps, options.seed)
    with _processes(options) as device:
        rows = list(run_ablation(ablation, options.label_maps, options.output, device))
    print(markdown(rows, ablation, options.label_maps))
    for path in write_ablation(rows, ablation, options.label_maps, options.output):
        print(f"wrote {path}")
    return 0


def _people(options: argparse.Namespace) -> int:
    from bids_gan.evaluate.synthesis import evaluate
    from bids_gan.evaluate.table import markdown
    from bids_gan.evaluate.write import write_evaluation

    study = _study(options)
    results = list(evaluate(study))
    print(markdown(results, study.target))
    if options.output is not None:
        for path in write_evaluation(results, study.target, options.output):
            print(f"wrote {path}")
    return 0


def _study(options: argparse.Namespace):
    """What the command line asks to compare: the file of --people, or its own two images."""
    from dataclasses import replace

    from bids_gan.errors import UsageError
    from bids_gan.evaluate.people import Study, Subject, check_study, read_study

    if options.people is not None:
        if options.t1w or options.mask or options.template or options.target or options.register:
            raise UsageError("--people: the file names target, images, template and register")
        study = read_study(options.people)
        return replace(study, models=tuple(options.model)) if options.model else study
    if options.truth is None:
        raise UsageError("evaluate needs T1W and TRUTH of a person, or --people FILE.toml")
    name = options.t1w.name.partition("_")[0].partition(".")[0]
    study = Study(
        target=options.target or "FA",
        models=tuple(options.model),
        template=options.template,
        register=options.register,
        people=(Subject(name, options.t1w, options.truth, options.mask),),
    )
    check_study(study)
    return study


def _tiling(options: argparse.Namespace) -> int:
    from bids_gan.evaluate.tiling import tiling_table
    from bids_gan.models.memory import find_recipe
    from bids_gan.models.tiling import measured_anatomy, template_anatomy, tile_model

    anatomy = measured_anatomy(options.t1w) if options.t1w else template_anatomy()
    with _processes(options) as device:
        results = tile_model(
            options.model,
            anatomy,
            options.tiles,
            [percent / 100 for percent in options.overlaps],
            untrained=options.untrained,
            precision=options.precision,
            device=device,
        )
        print(
            tiling_table(
                list(results), find_recipe(options.model).get("card", {}).get("Units", "")
            )
        )
    return 0


def _plan_memory(options: argparse.Namespace) -> int:
    from bids_gan.errors import UsageError
    from bids_gan.gan.inference import choose_precision
    from bids_gan.models import memory

    recipe = memory.find_recipe(options.model)
    shape, at_inference = tuple(options.volume), choose_precision(options.precision)
    data, training = recipe.get("data", {}), recipe.get("training", {})
    patch, batch = options.patch or data.get("patch"), options.batch or data.get("batch")
    at_training = training.get("precision", "bf16")
    if options.precision != "auto":
        at_training = options.precision
    size = "×".join(map(str, shape)) + (f" in {options.tile}³" if options.tile else "")
    columns = {}
    if memory.takes_any_size(recipe):
        columns[f"inference {size}, {at_inference}"] = memory.plan_inference(
            recipe, shape, at_inference, options.tile
        )
    if memory.can_plan_training(recipe):
        columns[f"training {batch} × {patch}³, {at_training}"] = memory.plan_training(
            recipe, patch, batch, at_training
        )
    if not columns:
        raise UsageError(
            f"{options.model}: its steps depend on its images and cannot be predicted"
        )
    print(memory.memory_table(columns))
    print(f"Python and its libraries need {memory.libraries() / 2**20:.0f} MiB besides.")
    if options.memory_gb is not None:
        budget = round(options.memory_gb * 2**30)
        precisions = (at_inference, at_training)
        for line in memory.memory_advice(recipe, shape, batch, precisions, budget):
            print(f"{options.memory_gb:g} GiB, {line}")
    return 0


def _impute(options: argparse.Namespace) -> int:
    with _processes(options) as device:
        return impute.run(options, device)


def _list(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import released_cards

    for card in released_cards():
        print(f"{card.name:12} {card.version:8} {' + '.join(card.inputs)} -> {card.target}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import find_card

    print(json.dumps(find_card(options.model).text, indent=2))
    return 0


COMMANDS = {
    "pairs": _pairs,
    "simulate": _simulate,
    "train": _train,
    "finetune": _finetune,
    "evaluate": _evaluate,
    "tiling": _tiling,
    "plan-memory": _plan_memory,
    "impute": _impute,
    "list": _list,
    "show": _show,
}

if __name__ == "__main__":
    sys.exit(main())
