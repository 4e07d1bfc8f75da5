"""``bids-gan-model evaluate``: models beside baselines, losses beside each other."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from bids_gan.cli.workshop.options import add_device, processes


def add_parser(commands) -> None:
    """Add the parser of this command to those of ``bids-gan-model``."""
    evaluate = commands.add_parser(
        "evaluate", help="synthetic images against the truth, beside baselines"
    )
    evaluate.set_defaults(run=_evaluate)
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
    add_device(ablation)


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
    with processes(options) as device:
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
