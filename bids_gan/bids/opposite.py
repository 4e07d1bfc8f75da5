"""Images of opposite phase encoding, which together with a diffusion run tell the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.bids import queries
from bids_gan.bids.acquisition import phase_encoding, readout_time
from bids_gan.bids.intended import is_meant

if TYPE_CHECKING:
    from bids.layout import BIDSFile, BIDSLayout

    from bids_gan.settings import Settings

_FIELD_MAPS = {"datatype": "fmap", "suffix": "epi", "extension": [".nii", ".nii.gz"]}


@dataclass(frozen=True)
class Opposite:
    """An EPI image whose phase encoding is known.

    Attributes
    ----------
    path : Path
        3D, or 4D.
    bval : Path or None
        b-values of its volumes; without, none is diffusion-weighted.
    pe_direction : str
    readout_time : float
        Seconds.
    metadata : mapping
        Content of its JSON file.
    """

    path: Path
    bval: Path | None
    pe_direction: str
    readout_time: float
    metadata: Mapping[str, Any]


def find_candidates(
    layout: BIDSLayout,
    settings: Settings,
    subject: str,
    session: str | None,
    diffusion: Iterable[BIDSFile],
) -> list[Opposite]:
    """Every EPI of a session that may be the opposite of some run, field maps first.

    Parameters
    ----------
    layout, settings, subject, session
    diffusion : iterable of BIDSFile
        Diffusion images of the session, those with too few directions included.
    """
    maps = queries.by_session(queries.find_images(layout, _FIELD_MAPS, subject))
    images = [(image, None) for image in maps.get(session, [])]
    images += [(image, queries.nearest(layout, image, ".bval")) for image in diffusion]
    found = []
    for image, bval in images:
        path, metadata = Path(image.path), image.get_metadata()
        pe = phase_encoding(metadata).value
        seconds = readout_time(metadata, path, pe, settings.fallback_total_readout_time).value
        if pe is not None and seconds is not None:
            found.append(Opposite(path, bval, pe, seconds, metadata))
    return found


def choose_opposite(
    path: Path, pe_direction: str, metadata: Mapping[str, Any], candidates: Sequence[Opposite]
) -> Opposite | None:
    """First candidate with the other polarity that is not meant for other images.

    Parameters
    ----------
    path : Path
        Of the diffusion run.
    pe_direction : str
    metadata : mapping
        Content of the run's JSON file.
    candidates : sequence of Opposite
    """
    wanted = pe_direction.removesuffix("-") if pe_direction.endswith("-") else f"{pe_direction}-"
    for one in candidates:
        if one.pe_direction == wanted and is_meant(one.metadata, path, metadata):
            return one
    return None
