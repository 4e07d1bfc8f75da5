"""Which contrasts a session has, which of them are to be made, and what cannot be made at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan.bids import queries
from bids_gan.bids.anatomical import choose_image
from bids_gan.bids.plan import Session
from bids_gan.errors import UsageError
from bids_gan.settings import Settings

if TYPE_CHECKING:
    from bids.layout import BIDSFile, BIDSLayout

#: how people write that a contrast agent was given: T1ce, ceT1w, T1wGd, T1c, ce-gadolinium_T1w
_AGENT = re.compile(r"ce|gd|gad|agent|post|t1w?[+-]?c\b", re.IGNORECASE)


@dataclass(frozen=True)
class SessionContrasts(Session):
    """What one session has.

    Attributes
    ----------
    images
        Contrast -> the image that is used, in the order in which the contrasts were asked for.
    notes
        Images that are not used, each with the reason.
    """

    images: dict[str, Path]
    notes: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Contrast whose space everything is brought to: T1w, else the first there is."""
        return "T1w" if "T1w" in self.images else next(iter(self.images))


def check_wanted(wanted: Sequence[str], contrasts: Sequence[str]) -> None:
    """Refuse what the model does not make.

    Parameters
    ----------
    wanted
        Of ``--wanted``.
    contrasts
        Of the model.

    Raises
    ------
    UsageError
        With the reason where a contrast agent is asked for.
    """
    accepted = f"--wanted accepts {', '.join(contrasts)}"
    for name in wanted:
        if name in contrasts:
            continue
        if _AGENT.search(name):
            raise UsageError(
                f"--wanted {name}: what a contrast agent shows (vessels, a broken blood-brain "
                "barrier) is in none of the other contrasts, so an image of it made from them "
                f"would be an invention; it has to be measured. {accepted}"
            )
        raise UsageError(f"--wanted {name}: the model does not make it; {accepted}")


def find_contrasts(
    layout: BIDSLayout, settings: Settings, contrasts: Sequence[str]
) -> list[SessionContrasts]:
    """Look up what each session of the chosen people has.

    Parameters
    ----------
    layout
        Index of ``settings.bids_dir`` (`bids_gan.bids.queries.open_layout`).
    settings
        Of the run.
    contrasts
        Suffixes of BIDS, in the order of the model.

    Returns
    -------
    list of SessionContrasts
        A person without any has one entry without images.

    Raises
    ------
    UsageError, DataError
        Unknown labels; nobody in the dataset.
    """
    query = {"datatype": "anat", "suffix": list(contrasts), "extension": queries.EXTENSIONS}
    return [
        _session(subject, session, images, contrasts)
        for subject in queries.select_participants(settings)
        for session, images in (
            queries.by_session(queries.find_images(layout, query, subject)) or {None: []}
        ).items()
    ]


def _session(
    subject: str, session: str | None, images: list[BIDSFile], contrasts: Sequence[str]
) -> SessionContrasts:
    chosen: dict[str, Path] = {}
    notes: list[str] = []
    usable: dict[str, dict[Path, dict]] = {contrast: {} for contrast in contrasts}
    for image in images:
        entities = image.get_entities()
        fault = _why_not(image, entities)
        if fault:
            notes.append(f"{image.filename} is not used: {fault}")
        else:
            usable[entities["suffix"]][Path(image.path)] = entities
    for contrast, candidates in usable.items():
        if candidates:
            chosen[contrast], reason, others = choose_image(candidates, contrast)
            notes += [
                f"{path.name} is not used: {chosen[contrast].name} is {reason}" for path in others
            ]
    return SessionContrasts(subject, session, chosen, tuple(notes))


def _why_not(image: BIDSFile, entities: dict) -> str | None:
    """Why an image is none of the plain contrasts, ``None`` when it is one."""
    agent = entities.get("ceagent") or image.get_metadata().get("ContrastBolusIngredient")
    if agent:
        return (
            f"a contrast agent was given ({agent}), so it is no plain {entities['suffix']}, which "
            "is what the model knows"
        )
    if entities.get("part", "mag") != "mag":
        return f"part-{entities['part']} is no magnitude image"
    return None
