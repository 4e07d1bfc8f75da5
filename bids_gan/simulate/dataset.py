"""A BIDS dataset of simulated people, made in parallel, whole or not at all."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan import __version__
from bids_gan.errors import DataError, ProcessingError, ResourceError, UsageError
from bids_gan.images import check_header
from bids_gan.simulate.composition import LABEL_NAMES, OUTSIDE_LABELS
from bids_gan.simulate.files import write_json, write_text
from bids_gan.simulate.head import Head, prepare_head
from bids_gan.simulate.labels import load_label_map
from bids_gan.simulate.scans import CONTRASTS, Request, scanner, write_person

_README = """\
# Simulated people

Made by `bids-gan-model simulate`: **no image here was measured.** Anatomies are label maps of
real heads, deformed at random; images follow from them by signal equations, tissue tables and a
model of each scanner. See the page "Simulation" of the bids-gan documentation.

`derivatives/truth` holds label maps, tissue fractions, FA, CT, field maps and the undistorted b0.
All scans of a person lie in one world space: nobody moved between them.
"""


def simulate_dataset(
    label_maps: Path, output: Path, people: int, request: Request, jobs: int = 1
) -> Path:
    """Simulate people; those that are there already are kept.

    Parameters
    ----------
    label_maps : Path
        Folder of label maps (``.nii``, ``.nii.gz``), 1 mm.
    output : Path
        Root of the dataset.
    people : int
    request : Request
    jobs : int
        Processes; the files do not depend on it.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    DataError
        For label maps that cannot be used; the message names the file.
    UsageError
        If `output` holds a simulation with other settings.
    """
    _check_request(people, request, jobs)
    maps = _find_label_maps(label_maps)
    _check_same_settings(output, request, maps)
    for leftover in output.glob(".sub-*.part"):
        shutil.rmtree(leftover)
    todo = [n for n in range(people) if not (output / _label(n)).exists()]
    # people of one label map are neighbours, so a process prepares it once
    todo.sort(key=lambda n: (n % len(maps), n))
    tasks = [(output, maps[n % len(maps)], request, n) for n in todo]
    failed = dict(_work(tasks, jobs, people))
    _describe(output, request, maps)
    if failed:
        first = min(failed)
        raise ProcessingError(
            f"{len(failed)} of {people} people failed; {_label(first)}: {failed[first]}. "
            "The others are whole; the same command continues"
        )
    return output


def _work(tasks: list[tuple], jobs: int, people: int) -> Iterator[tuple[int, str]]:
    """Run the tasks; yields number and message of the people that failed."""
    from tqdm import tqdm

    results = _in_processes(tasks, jobs) if jobs > 1 and len(tasks) > 1 else _here(tasks)
    for person, error in tqdm(
        results, total=people, initial=people - len(tasks), unit="person", mininterval=0
    ):
        if error is not None:
            yield person, f"{type(error).__name__}: {error}"


def _here(tasks: list[tuple]) -> Iterator[tuple[int, Exception | None]]:
    for task in tasks:
        try:
            _simulate_one(*task)
        except Exception as error:
            yield task[-1], error
        else:
            yield task[-1], None


def _in_processes(tasks: list[tuple], jobs: int) -> Iterator[tuple[int, Exception | None]]:
    # forking a process in which torch already runs threads can hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, _one_thread) as pool:
        futures = {pool.submit(_simulate_one, *task): task[-1] for task in tasks}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise ResourceError(
                        "a process was killed, probably for want of memory: a person at 1 mm "
                        "needs 1.5 GB; use fewer --jobs or a larger --spacing"
                    ) from error
                yield futures[future], error
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _simulate_one(output: Path, label_map: Path, request: Request, person: int) -> None:
    label = _label(person)
    part = output / f".{label}.part"
    raw, truth = part / "raw" / label, part / "truth" / label
    write_person(raw, truth, _head(label_map), request, person)
    home = output / "derivatives" / "truth" / label
    if home.exists():
        shutil.rmtree(home)
    home.parent.mkdir(parents=True, exist_ok=True)
    os.replace(truth, home)
    os.replace(raw, output / label)  # last: its presence says that the person is whole
    shutil.rmtree(part)


@functools.lru_cache(maxsize=1)
def _head(path: Path) -> Head:
    try:
        labels = load_label_map(path)
    except ValueError as error:  # names the file
        raise DataError(str(error)) from error
    try:
        return prepare_head(labels)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _label(person: int) -> str:
    return f"sub-{person + 1:04d}"


def _check_request(people: int, request: Request, jobs: int) -> None:
    unknown = set(request.contrasts) - set(CONTRASTS)
    if unknown or not request.contrasts:
        raise UsageError(f"--contrasts {sorted(unknown)}: choose from {', '.join(CONTRASTS)}")
    for flag, value, low, high in (
        ("--people", people, 1, 9999),
        ("--jobs", jobs, 1, 1024),
        ("--spacing", request.spacing, 0.5, 4.0),
        ("--artefacts", request.artefacts, 0.0, 1.0),
        ("--seed", request.seed, 0, 2**63),
    ):
        if not low <= value <= high:
            raise UsageError(f"{flag} {value}: give a value from {low} to {high}")


def _find_label_maps(folder: Path) -> list[Path]:
    maps = sorted(p for p in folder.glob("*.nii*") if p.name.endswith((".nii", ".nii.gz")))
    if not maps:
        raise DataError(f"{folder}: no label maps (.nii, .nii.gz) here")
    for path in maps:
        try:
            img = nib.load(path)
        except (nib.filebasedimages.ImageFileError, OSError) as error:
            raise DataError(f"{path}: cannot be read as NIfTI ({error})") from error
        if len(img.shape) != 3:
            raise DataError(f"{path}: a label map has 3 dimensions, this one {len(img.shape)}")
        check_header(path, type(img.header))
        zooms = nib.affines.voxel_sizes(img.affine)
        if not np.all((zooms > 0.9) & (zooms < 1.1)):
            raise DataError(f"{path}: voxels of {zooms.round(3)} mm, 1 mm is needed: resample it")
    return maps


def _check_same_settings(output: Path, request: Request, maps: list[Path]) -> None:
    """Refuse to mix two simulations in one folder."""
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in maps)).hexdigest()
    settings = json.loads(json.dumps(asdict(request) | {"label_maps": digest}))
    path = output / "derivatives" / "truth" / "simulation.json"
    if not path.exists():
        if output.exists() and any(output.glob("sub-*")):
            raise UsageError(f"{output} holds people of another origin: choose an empty folder")
        write_json(path.with_suffix(""), settings)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [key for key in settings if before.get(key) != settings[key]]
    if changed:
        was = {key: before.get(key) for key in changed}
        raise UsageError(
            f"{path}: this folder was begun with {was}; continue with the same or choose "
            "another folder"
        )


def _describe(output: Path, request: Request, maps: list[Path]) -> None:
    """Files at the root of the dataset and of the truth, about the people who are whole."""
    common = {"BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["The bids-gan developers"]}
    made_by = [{"Name": "bids-gan-model simulate", "Version": __version__}]
    truth = output / "derivatives" / "truth"
    write_json(
        output / "dataset_description",
        {"Name": "Simulated people", "DatasetType": "raw"} | common | {"GeneratedBy": made_by},
    )
    write_json(
        truth / "dataset_description",
        {"Name": "Simulated people: truth", "DatasetType": "derivative"}
        | common
        | {"GeneratedBy": made_by},
    )
    write_text(output / "README.md", _README)
    write_text(truth / "README.md", _README)
    write_text(truth / ".bidsignore", "simulation.json\nct\n")
    names = sorted((LABEL_NAMES | OUTSIDE_LABELS).items())
    rows = [f"{value}\t{name}" for value, name in names]
    write_text(truth / "dseg.tsv", "\n".join(["index\tname", *rows]) + "\n")
    rows = ["participant_id\tlabel_map\tfield_strength"]
    for path in sorted(output.glob("sub-*")):
        person = int(path.name[4:]) - 1
        source = maps[person % len(maps)].name
        rows.append(f"{path.name}\t{source}\t{scanner(request, person)[0]}")
    write_text(output / "participants.tsv", "\n".join(rows) + "\n")
    write_json(
        output / "participants",
        {
            "label_map": {"Description": "Label map that the anatomy was deformed from"},
            "field_strength": {"Description": "Of the simulated scanner", "Units": "T"},
        },
    )
