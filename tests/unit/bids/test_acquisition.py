"""Phase encoding and readout time: value, source, remedy."""

import pytest
from bids_tree import image

from bids_gan.bids.acquisition import DIRECTIONS, phase_encoding, readout_time


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_direction_is_read(direction):
    fact = phase_encoding({"PhaseEncodingDirection": direction})
    assert (fact.value, fact.source) == (direction, "PhaseEncodingDirection")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, ["PhaseEncodingDirection is missing"]),
        ({"PhaseEncodingDirection": "AP"}, ["'AP'", "none of i, i-"]),
        ({"PhaseEncodingAxis": "j"}, ["PhaseEncodingAxis ('j')", "sign"]),
    ],
)
def test_no_direction_no_value(metadata, words):
    fact = phase_encoding(metadata)
    assert fact.value is None
    for word in words:
        assert word in fact.source
    assert "add PhaseEncodingDirection" in fact.remedy


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "dwi.nii.gz"
    image((10, 20, 30, 2), (1, 1, 1)).to_filename(path)
    return path


def read(metadata, path, direction="j", fallback=None):
    fact = readout_time(metadata, path, direction, fallback)
    return fact.value, fact.source


def test_total_readout_time_comes_first(series):
    metadata = {"TotalReadoutTime": 0.04, "EffectiveEchoSpacing": 0.001}
    assert read(metadata, series, fallback=0.9) == (0.04, "TotalReadoutTime")


@pytest.mark.parametrize(("direction", "lines"), [("i-", 10), ("j", 20), ("k", 30)])
def test_echo_spacing_counts_lines_along_phase_encoding(series, direction, lines):
    value, source = read({"EffectiveEchoSpacing": 0.001}, series, direction, fallback=0.9)
    assert value == pytest.approx(0.001 * (lines - 1))
    assert f"({lines} - 1)" in source


def test_reconstructed_matrix_wins_over_image(series):
    value, source = read({"EffectiveEchoSpacing": 0.001, "ReconMatrixPE": 41}, series)
    assert value == pytest.approx(0.04)
    assert "ReconMatrixPE" in source


def test_fallback_comes_last(series):
    assert read({}, series, fallback=0.07) == (0.07, "--fallback-total-readout-time")
    # without a direction the lines cannot be counted
    metadata = {"EffectiveEchoSpacing": 0.001}
    assert read(metadata, series, None, 0.07) == (0.07, "--fallback-total-readout-time")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, ["TotalReadoutTime is missing", "EffectiveEchoSpacing is missing"]),
        ({"TotalReadoutTime": 47.5}, ["47.5", "cannot be seconds"]),
        ({"TotalReadoutTime": 0}, ["cannot be seconds"]),
        ({"TotalReadoutTime": "long"}, ["'long'", "no number"]),
        (
            {"EffectiveEchoSpacing": 0.001, "ReconMatrixPE": 10**400},
            ["ReconMatrixPE is 1000", "no number of lines"],
        ),
        ({"EffectiveEchoSpacing": 0.5}, ["9.5 s", "longer than any EPI readout"]),
        ({"EstimatedTotalReadoutTime": 0.05}, ["EstimatedTotalReadoutTime (0.05)", "not used"]),
    ],
)
def test_no_readout_time_says_why_and_what_helps(series, metadata, words):
    fact = readout_time(metadata, series, "j", None)
    assert fact.value is None
    for word in words:
        assert word in fact.source
    assert "TotalReadoutTime or EffectiveEchoSpacing" in fact.remedy
    assert "--fallback-total-readout-time" in fact.remedy


def test_unreadable_header_is_said(tmp_path):
    empty = tmp_path / "empty.nii.gz"
    empty.touch()
    value, source = read({"EffectiveEchoSpacing": 0.001}, empty)
    assert value is None
    assert "no readable header" in source
