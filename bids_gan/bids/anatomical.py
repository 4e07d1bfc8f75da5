"""Which image of a contrast a session is processed with; brain masks that can be reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_gan.errors import DataError
from bids_gan.text import read_json


@dataclass(frozen=True)
class _Candidate:
    """An image and what it is ranked by, most important first; smaller is better."""

    path: Path
    zooms: tuple[float, ...] | None
    rank: tuple[float, ...]


#: what each place of ``_Candidate.rank`` means
_REASONS = (
    "the others are additional reconstructions (rec-)",
    "the finest voxels",
    "the most isotropic voxels",
    "the lowest run number",
)


def choose_image(
    images: Mapping[Path, Mapping[str, Any]], contrast: str = "T1w"
) -> tuple[Path, str, tuple[Path, ...]]:
    """Choose one image of a session's T1w, or of another contrast.

    The rule: no additional reconstruction (``rec-``), then the finest voxels (the longest edge
    counts), then the most isotropic ones, then the lowest run, then the name.

    Parameters
    ----------
    images
        BIDS entities of each candidate; at least one.
    contrast
        Of all of them.

    Returns
    -------
    path, reason, others
        The image, why it was chosen, and those that were not.
    """
    ranked = sorted(
        (_candidate(path, entities) for path, entities in images.items()),
        key=lambda candidate: (candidate.rank, candidate.path.name),
    )
    best = ranked[0]
    if len(ranked) == 1:
        return best.path, f"the only {contrast} of the session", ()
    decided = [
        reason
        for reason, mine, next_best in zip(_REASONS, best.rank, ranked[1].rank, strict=True)
        if mine != next_best
    ]
    reason = decided[0] if decided else "the first by name"
    if best.zooms is not None and "voxels" in reason:
        reason += f" ({' x '.join(f'{edge:g}' for edge in best.zooms)} mm)"
    return best.path, f"{reason} of {len(ranked)}", tuple(other.path for other in ranked[1:])


def reusable_brain_mask(
    t1w: Path, subject: str, session: str | None, derivatives: Sequence[tuple[str, Path]]
) -> tuple[Path | None, str]:
    """Find a brain mask of this T1w in earlier derivatives.

    A mask is reused when it has the T1w's voxels, up to the order and direction of the axes, and
    when the raw images that its ``Sources`` name, if any, include this T1w.

    Parameters
    ----------
    t1w
        The T1w in use.
    subject, session
        Its labels.
    derivatives
        (name, folder) of each dataset to search, first come first served.

    Returns
    -------
    mask, reason
        ``mask`` is ``None`` when none fits; the reason names what was looked at.
    """
    if not derivatives:
        return None, "computed"
    faults = []
    for name, root in derivatives:
        masks = _mask_files(root, subject, session)
        if not masks:
            faults.append(f"{name} holds none for sub-{subject}")
        for mask in masks:
            fault = _why_not(mask, t1w)
            if fault is None:
                return mask, f"reused from {name}"
            faults.append(f"{mask.name} of {name} {fault}")
    return None, f"computed: {'; '.join(faults)}"


def _candidate(path: Path, entities: Mapping[str, Any]) -> _Candidate:
    zooms = _zooms(path)
    longest, shortest = (max(zooms), min(zooms)) if zooms else (np.inf, 1.0)
    rank = (
        float("reconstruction" in entities),
        round(longest, 2),
        round(longest / shortest, 2),
        float(entities.get("run", 0)),
    )
    return _Candidate(path, zooms, rank)


def _zooms(path: Path) -> tuple[float, ...] | None:
    """Voxel size in mm, ``None`` when the header cannot be read."""
    from bids_gan.images import open_image

    try:
        zooms = tuple(round(float(edge), 3) for edge in open_image(path).header.get_zooms()[:3])
    except DataError:
        return None
    return zooms if min(zooms, default=0) > 0 else None


def _mask_files(root: Path, subject: str, session: str | None) -> list[Path]:
    """Masks in the T1w's own space; those of standard spaces carry another ``space-``."""
    person = root / f"sub-{subject}"
    folders = [person / "anat"] if session is None else [person / f"ses-{session}/anat"]
    if session is not None:
        folders.append(person / "anat")  # fMRIPrep may merge the sessions' anatomy
    return [
        path
        for folder in folders
        for path in sorted(folder.glob(f"sub-{subject}*_desc-brain_mask.nii.gz"))
        if "_space-" not in path.name or "_space-T1w_" in path.name
    ]


def _why_not(mask: Path, t1w: Path) -> str | None:
    """Why a mask does not belong to the T1w, ``None`` when it does."""
    try:
        same = _canonical_grid(mask) == _canonical_grid(t1w)
    except DataError:
        return "cannot be compared with the T1w (unreadable header)"
    if not same:
        return f"has other voxels than {t1w.name}"
    named = [source for source in _sources(mask) if source.endswith(("_T1w.nii.gz", "_T1w.nii"))]
    raw = [source for source in named if "_desc-" not in source]
    if raw and not any(source.endswith(f"/{t1w.name}") for source in raw):
        return f"was made from {', '.join(source.split('/')[-1] for source in raw)}"
    return None


def _canonical_grid(path: Path) -> tuple:
    """Shape and affine after turning the axes to RAS+ (header only, rounded to 0.01 mm)."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    from bids_gan.images import open_image

    image = open_image(path)
    shape = image.shape[:3]
    orientation = io_orientation(image.affine)
    affine = image.affine @ inv_ornt_aff(orientation, shape)
    turned = apply_orientation(np.broadcast_to(np.uint8(0), shape), orientation).shape
    return turned, tuple(np.round(affine, 2).ravel() + 0.0)


def _sources(path: Path) -> list[str]:
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    sources = (read_json(sidecar) or {}).get("Sources")
    return [each for each in sources if isinstance(each, str)] if isinstance(sources, list) else []
