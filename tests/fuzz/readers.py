"""The functions that read files which somebody else wrote, each with sound files to begin with.

A reader returns where it accepts a file, and what it accepted must be fit for use; it may refuse
a file with a `BidsGanError`. Anything else is a fault.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from safetensors.torch import save

from bids_gan.bids.acquisition import DIRECTIONS, LONGEST_READOUT, phase_encoding, readout_time
from bids_gan.bids.opposite import Opposite, choose_opposite
from bids_gan.bids.queries import load_filters
from bids_gan.diffusion.gradients import load_gradients
from bids_gan.evaluate.people import read_study
from bids_gan.gan.networks.factory import build_network
from bids_gan.images import load_series, load_volume
from bids_gan.models.recipe import read_recipe
from bids_gan.models.registry import file_sha256, load_network, read_card
from bids_gan.settings import Settings
from bids_gan.text import read_json

N_VOLUMES = 7
NETWORK = {"in_channels": 1, "out_channels": 1, "widths": [2, 2]}
SIDECAR = {
    "PhaseEncodingDirection": "j-",
    "EffectiveEchoSpacing": 0.0005,
    "ReconMatrixPE": 96,
    "B0FieldIdentifier": "pair",
    "B0FieldSource": ["pair"],
    "IntendedFor": "bids::sub-01/dwi/sub-01_dwi.nii.gz",
}
CARD = {
    "Name": "mine",
    "Version": "1",
    "Target": "FA",
    "Inputs": ["t1w"],
    "Network": NETWORK,
    "WeightsSHA256": "0" * 64,
}
#: a number beyond every float, and lists in lists: no search by chance would find them
LARGE = 10**400
DEEP = "[" * 2000
SETTINGS = """\
targets = ["FA"]
sdc = "synth"
nprocs = 2
fallback_total_readout_time = 0.05
work_dir = "work"
[derivatives]
earlier = "out"
"""
STUDY = """\
target = "FA"
models = ["t1w-to-fa"]
template = "fa.nii"
border_mm = 2.0
[[person]]
name = "one"
t1w = "t1w.nii"
truth = "fa.nii"
"""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes
    ----------
    read : callable
        Is given the path of a file.
    suffix : str
        Of that file's name.
    seeds : callable
        Gives contents that the reader accepts.
    """

    read: Callable[[Path], None]
    suffix: str
    seeds: Callable[[], list[bytes]]


def volume(path: Path) -> None:
    image = load_volume(path)
    assert image.ndim == 3
    assert np.isfinite(image.get_fdata()).all()
    assert np.isfinite(np.linalg.inv(image.affine)).all()


def series(path: Path) -> None:
    image = load_series(path)
    assert image.ndim == 4
    assert np.isfinite(image.get_fdata()).all()
    assert np.isfinite(np.linalg.inv(image.affine)).all()


def gradients(path: Path) -> None:
    """b-values and b-vectors, in one file of the fuzzer with a zero byte between."""
    first, _, second = path.read_bytes().partition(b"\0")
    bval, bvec = path.with_suffix(".bval"), path.with_suffix(".bvec")
    bval.write_bytes(first)
    bvec.write_bytes(second)
    table = load_gradients(bval, bvec, N_VOLUMES)
    assert table.bvals.shape == (N_VOLUMES,)
    assert (np.isfinite(table.bvals) & (table.bvals >= 0)).all()
    lengths = np.linalg.norm(table.bvecs, axis=1)
    assert (np.isclose(lengths, 1) | (table.is_b0 & (lengths == 0))).all()


def sidecar(path: Path) -> None:
    content = read_json(path)
    if content is None:
        return
    direction = phase_encoding(content).value
    assert direction in (None, *DIRECTIONS)
    seconds = readout_time(content, path, direction, fallback=None).value
    assert seconds is None or 0 < seconds < LONGEST_READOUT
    other = Opposite(path, None, "j", 0.05, content)
    assert choose_opposite(path, "j-", content, [other]) in (None, other)


def settings(path: Path) -> None:
    read = Settings.from_toml(path, bids_dir=path.parent, output_dir=path.parent / "out")
    seconds = read.fallback_total_readout_time
    assert seconds is None or 0 < seconds < float("inf")


def filters(path: Path) -> None:
    load_filters(Settings(path.parent, path.parent / "out", bids_filter_file=path))


def card(path: Path) -> None:
    read = read_card(path)
    assert isinstance(read.network, dict)
    assert all(isinstance(text, str) for text in (read.name, read.version, read.target))


def recipe(path: Path) -> None:
    read_recipe(str(path))


def study(path: Path) -> None:
    read_study(path)


def weights(path: Path) -> None:
    """With a card that agrees, so that the checksum does not refuse all."""
    text = {**CARD, "WeightsSHA256": file_sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(text))
    load_network(read_card(path.with_suffix(".json")))


@cache
def _nifti(shape: tuple[int, ...]) -> bytes:
    data = np.random.default_rng(0).integers(0, 9, shape, dtype=np.uint8)
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_qform(image.affine, 1)
    return image.to_bytes()


def _volumes() -> list[bytes]:
    return [_nifti((16, 16, 16))]


def _packed_volumes() -> list[bytes]:
    return [gzip.compress(content, mtime=0) for content in _volumes()]


def _series() -> list[bytes]:
    return [_nifti((4, 4, 4, 3))]


def _tables() -> list[bytes]:
    axes = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, -1, 0], [1, 0, -1], [0, 1, -1]])
    vectors = np.vstack([np.zeros(3), axes / np.sqrt(2)])
    rows = [
        "\n".join(" ".join(f"{x:.4f}" for x in row) for row in t) for t in (vectors.T, vectors)
    ]
    return [f"0 {'1000 ' * 6}\n\0{text}\n".encode() for text in rows]


def _json(content: dict) -> Callable[[], list[bytes]]:
    def seeds():
        large = [{**content, key: LARGE} for key in content]
        return [*(json.dumps(one).encode() for one in (content, *large)), DEEP.encode()]

    return seeds


def _toml(content: str) -> Callable[[], list[bytes]]:
    def seeds():
        lines = content.splitlines(keepends=True)
        keys = [line.partition(" = ")[0] if " = " in line else None for line in lines]
        large = [
            "".join([*lines[:n], f"{key} = {LARGE}\n", *lines[n + 1 :]])
            for n, key in enumerate(keys)
            if key
        ]
        return [one.encode() for one in (content, *large, f"a = {DEEP}")]

    return seeds


def _weights() -> list[bytes]:
    state = build_network(NETWORK).state_dict()
    return [save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})]


READERS = {
    "volume": Reader(volume, ".nii", _volumes),
    "packed-volume": Reader(volume, ".nii.gz", _packed_volumes),
    "series": Reader(series, ".nii", _series),
    "gradients": Reader(gradients, ".txt", _tables),
    "sidecar": Reader(sidecar, ".json", _json(SIDECAR)),
    "settings": Reader(settings, ".toml", _toml(SETTINGS)),
    "filters": Reader(filters, ".json", _json({"t1w": {"run": ["Query.ANY", None, 1]}})),
    "card": Reader(card, ".json", _json(CARD)),
    "recipe": Reader(recipe, ".toml", _toml('model = "t1w-to-fa"\n[data]\npatch = 64\n')),
    "study": Reader(study, ".toml", _toml(STUDY)),
    "weights": Reader(weights, ".safetensors", _weights),
}
