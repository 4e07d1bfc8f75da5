"""The Boutiques descriptor says what the command line says."""

import json
from pathlib import Path

import pytest
from boutiques.validator import DescriptorValidationError, validate_descriptor

from bids_gan import __version__
from bids_gan.cli.parser import build_parser
from bids_gan.errors import BidsGanError

DESCRIPTOR = json.loads((Path(__file__).parents[2] / "boutiques.json").read_text())
INPUTS = {entry["id"]: entry for entry in DESCRIPTOR["inputs"]}
ACTIONS = {
    action.dest: action
    for action in build_parser()._actions
    if action.dest not in ("help", "version", "notrack")
}


def test_every_option_is_there():
    assert list(INPUTS) == list(ACTIONS)
    keys = [entry["value-key"] for entry in INPUTS.values()]
    assert DESCRIPTOR["command-line"].split() == ["bids-gan", *keys]


@pytest.mark.parametrize("name", INPUTS)
def test_option(name):
    entry, action = INPUTS[name], ACTIONS[name]
    assert entry.get("command-line-flag") in (action.option_strings or [None])
    assert entry["optional"] == bool(action.option_strings)
    assert (entry["type"] == "Flag") == (action.nargs == 0)
    assert entry.get("list", False) == (action.nargs == "+")
    assert (entry["type"] == "Number") == (action.type in (int, float))
    if action.choices:
        assert entry["value-choices"] == list(action.choices)


def test_version_and_exit_codes():
    assert DESCRIPTOR["tool-version"] == __version__
    codes = {kind.exit_code for kind in BidsGanError.__subclasses__()}
    listed = {entry["code"] for entry in DESCRIPTOR["error-codes"]}
    assert listed == codes | {BidsGanError.exit_code, 130}


def test_boutiques_takes_it():
    """What ``bosh validate boutiques.json`` calls."""
    validate_descriptor(DESCRIPTOR)
    with pytest.raises(DescriptorValidationError, match="VERBOSE"):
        validate_descriptor({**DESCRIPTOR, "command-line": "bids-gan"})
