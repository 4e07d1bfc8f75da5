"""Settings: defaults, TOML round trip, precedence, refusals."""

import dataclasses
from pathlib import Path

import pytest

from bids_gan.errors import UsageError
from bids_gan.settings import Settings, read_toml


def make(**given):
    return Settings(Path("/data"), Path("/out"), **given)


def test_threads_follow_processors():
    assert make(nprocs=3).omp_nthreads == 3
    assert make(nprocs=64).omp_nthreads == 8
    assert make(nprocs=64, omp_nthreads=16).omp_nthreads == 16


def test_toml_round_trip(tmp_path):
    before = make(
        participant_label=("01", "ä b"),
        nprocs=4,
        mem_mb=4000,
        fallback_total_readout_time=0.05,
        derivatives=(("fmriprep", Path('/de"r/ived')), ("old.run", Path("/o"))),
        output_spaces=("dwi", "T1w"),
        stop_on_first_crash=True,
        use_plugin=Path("/p lugin.yaml"),
    )
    before.to_toml(tmp_path / "settings.toml")
    after = Settings.from_toml(tmp_path / "settings.toml")
    assert dataclasses.replace(after, run_uuid=before.run_uuid) == before
    assert after.run_uuid != before.run_uuid


def test_overrides_win_over_file_and_file_over_defaults(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('sdc = "none"\nrandom-seed = 7\nfallback_total_readout_time = 1\n')
    settings = Settings.from_toml(path, bids_dir=Path("/a"), output_dir=Path("/b"), random_seed=9)
    assert settings.sdc == "none"
    assert settings.random_seed == 9
    assert settings.sdc_on_failure == "error"
    assert settings.fallback_total_readout_time == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nproc = 2", ["'nproc' is no setting", "nprocs"]),
        ("nprocs = true", ["nprocs must be a whole number", "True"]),
        ("nprocs = '2'", ["nprocs must be a whole number"]),
        ("dry_run = 1", ["dry_run must be true or false"]),
        ("participant_label = '01'", ["participant_label must be a list of texts"]),
        ("work_dir = 3", ["work_dir must be a path"]),
        ("fallback_total_readout_time = 'x'", ["must be a number"]),
        (f"fallback_total_readout_time = {10**400}", ["must be a number"]),
        ("fallback_total_readout_time = nan", ["must be a number", "nan"]),
        ("derivatives = ['a']", ["derivatives must be a table of NAME = PATH"]),
        ("run_uuid = 'x'", ["'run_uuid' is no setting"]),
        ("sdc = ", ["is not valid TOML"]),
        ("sdc = " + "[" * 2000, ["is not valid TOML", "nested too deeply"]),
        (f"nprocs = {'1' * 5000}", ["is not valid TOML"]),
    ],
)
def test_file_refusals_name_file_key_and_remedy(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_toml(path)
    for word in ["--config-file", str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sdc": "fugue"}, ["--sdc", "'fugue'", "auto, measured, reverse-pe, synth, none"]),
        ({"output_spaces": ("MNI",)}, ["--output-spaces", "'MNI'", "dwi, T1w"]),
        ({"device": "gpu"}, ["--device", "'gpu'", "cuda:N"]),
        ({"nprocs": 0}, ["--nprocs", "larger than zero"]),
        ({"fallback_total_readout_time": -1.0}, ["--fallback-total-readout-time"]),
        ({"fallback_total_readout_time": float("nan")}, ["--fallback-total-readout-time", "nan"]),
        ({"derivatives": (("raw", Path("/a")),)}, ["--derivatives", "'raw' is BIDS_DIR"]),
        ({"derivatives": (("a", Path("/a")), ("a", Path("/b")))}, ["a name of its own", "a, a"]),
        ({"nprocs": 2, "omp_nthreads": 3}, ["--omp-nthreads 3", "--nprocs 2"]),
    ],
)
def test_value_refusals(given, words):
    with pytest.raises(UsageError) as error:
        make(**given)
    for word in words:
        assert word in str(error.value)


def test_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        Settings.from_toml(tmp_path / "absent.toml")
