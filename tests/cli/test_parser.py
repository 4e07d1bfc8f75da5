"""Options: both spellings, types, refusals, and an answer without heavy imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bids_tree import write_dataset

from bids_gan import __version__
from bids_gan.cli.parser import build_parser, parse_settings
from bids_gan.errors import ModelError, UsageError

HEAVY = ("torch", "ants", "dipy", "nilearn", "nireports", "matplotlib", "bids", "nipype", "numpy")


@pytest.fixture
def parse(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", {})
    for name in ("filter.json", "plugin.yaml"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "old").mkdir()
    return lambda *options: parse_settings(["data", "out", "participant", *options])


OPTIONS = {
    "--participant-label": (["sub-01", "02"], ("01", "02")),
    "--session-label": (["ses-a", "b"], ("a", "b")),
    "--bids-filter-file": (["filter.json"], "filter.json"),
    "--bids-database-dir": (["index"], "index"),
    "--skip-bids-validation": ([], True),
    "--targets": (["FA"], ("FA",)),
    "--sdc": (["none"], "none"),
    "--sdc-on-failure": (["warn"], "warn"),
    "--device": (["cuda:1"], "cuda:1"),
    "--nprocs": (["3"], 3),
    "--omp-nthreads": (["1"], 1),
    "--mem-mb": (["4000"], 4000),
    "--work-dir": (["elsewhere"], "elsewhere"),
    "--use-plugin": (["plugin.yaml"], "plugin.yaml"),
    "--dry-run": ([], True),
    "--reports-only": ([], True),
    "--boilerplate-only": ([], True),
    "--stop-on-first-crash": ([], True),
    "--random-seed": (["5"], 5),
    "--clean-workdir": ([], True),
    "--write-graph": ([], True),
    "--resource-monitor": ([], True),
    "--fallback-total-readout-time": (["0.05"], 0.05),
    "--derivatives": (["a=old", "b=old"], (("a", "old"), ("b", "old"))),
    "--output-spaces": (["dwi", "T1w"], ("dwi", "T1w")),
    "--verbose": ([], 1),
}


def plain(value, folder: Path):
    """Paths relative to the folder, as texts."""
    if isinstance(value, tuple):
        return tuple(plain(item, folder) for item in value)
    return str(value.relative_to(folder)) if isinstance(value, Path) else value


@pytest.mark.parametrize("spelling", ["dash", "underscore"])
@pytest.mark.parametrize("option", OPTIONS)
def test_options_in_both_spellings(parse, tmp_path, option, spelling):
    values, expected = OPTIONS[option]
    spelled = option if spelling == "dash" else "--" + option[2:].replace("-", "_")
    settings = parse(spelled, *values)
    name = option[2:].replace("-", "_")
    assert plain(getattr(settings, name), tmp_path) == expected


def test_equals_sign_spares_the_value(parse):
    assert parse("--participant_label=a_b").participant_label == ("a_b",)


def test_short_forms_and_aliases(parse, tmp_path):
    settings = parse("-w", "w", "-vv", "-d", "n=old", "--session-id", "ses-x", "--notrack")
    assert settings.work_dir == tmp_path / "w"
    assert settings.verbose == 2
    assert settings.derivatives == (("n", tmp_path / "old"),)
    assert settings.session_label == ("x",)


def test_defaults(parse, tmp_path):
    settings = parse()
    assert settings.bids_dir == tmp_path / "data"
    assert settings.work_dir == tmp_path / "work"
    assert (settings.targets, settings.sdc, settings.output_spaces) == (("FA",), "auto", ("dwi",))


def test_no_option_is_untested():
    listed = {
        option
        for action in build_parser()._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    others = {"--help", "--version", "--config-file", "--model", "--notrack", "--session-id"}
    assert listed == set(OPTIONS) | others


def test_command_line_wins_over_config_file(parse, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('sdc = "none"\nrandom_seed = 3\nbids_dir = "/nowhere"\n')
    settings = parse("--config-file", "c.toml", "--random-seed", "4")
    assert (settings.sdc, settings.random_seed) == ("none", 4)
    assert settings.bids_dir == tmp_path / "data"
    assert settings.config_file == config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--level", "full"], "unrecognized arguments: --level"),
        (["--participant", "01"], "unrecognized arguments: --participant"),
        (["--sdc", "topup"], "invalid choice: 'topup'"),
        (["--targets", "MD"], "--targets: no generator for MD"),
        (["--output-spaces", "MNI152NLin2009cAsym"], "is none of dwi, T1w"),
        (["--device", "tpu"], "is none of auto, cpu"),
        (["--derivatives", "old"], "--derivatives wants NAME=PATH, not 'old'"),
        (["--derivatives", "a=absent"], "--derivatives a: there is no folder"),
        (["--bids-filter-file", "absent.json"], "--bids-filter-file: there is no file"),
        (["--config-file", "absent.toml"], "cannot be read"),
        (["--work-dir", "data/work"], "give another one with --work-dir"),
        (["--nprocs", "many"], "invalid int value: 'many'"),
    ],
)
def test_refusals(parse, options, words):
    with pytest.raises(UsageError) as error:
        parse(*options)
    assert words in str(error.value)


def test_unknown_model(parse):
    with pytest.raises(ModelError, match="--model absent"):
        parse("--model", "absent")


def test_dataset_must_exist_and_is_never_the_output(parse):
    with pytest.raises(UsageError, match="BIDS_DIR: there is no folder"):
        parse_settings(["absent", "out", "participant"])
    with pytest.raises(UsageError, match="never written to"):
        parse_settings(["data", "data", "participant"])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_answers_without_heavy_imports(option):
    code = (
        "import sys, json\n"
        "from bids_gan.cli.run import main\n"
        f"status = main([{option!r}])\n"
        f"print(json.dumps([status, [m for m in {HEAVY!r} if m in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text, last = done.stdout.rstrip().rsplit("\n", 1)
    assert json.loads(last) == [0, []]
    assert (__version__ if option == "--version" else "exit codes") in text
