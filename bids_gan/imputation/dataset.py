"""Everybody's missing contrasts, written as BIDS derivatives, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib

from bids_gan.anatomy.contrast import prepare_anatomy
from bids_gan.bids.contrasts import SessionContrasts, check_wanted, find_contrasts
from bids_gan.bids.description import check_output_dir, write_description
from bids_gan.bids.outputs import bids_uri, output_path, sidecar, write_output
from bids_gan.bids.plan import Session
from bids_gan.bids.queries import open_layout
from bids_gan.errors import DataError, UsageError
from bids_gan.gan.inference import choose_precision
from bids_gan.geometry import resample
from bids_gan.images import load_volume
from bids_gan.imputation.align import AlignedContrasts, align_contrasts
from bids_gan.imputation.collagan import contrasts_of, make_contrast
from bids_gan.models.registry import Card, Model, find_card, load_model
from bids_gan.settings import Settings
from bids_gan.synthesis.generate import provenance
from bids_gan.text import read_json

if TYPE_CHECKING:
    from torch import nn

_ACKNOWLEDGE = (
    "Name bids-gan, the model that the JSON files name, and D. Lee et al., CollaGAN: "
    "collaborative GAN for missing image data imputation, CVPR 2019, "
    "https://arxiv.org/abs/1901.09764"
)


@dataclass(frozen=True)
class Outcome:
    """What became of one session.

    Attributes
    ----------
    label : str
        ``sub-01`` or ``sub-01 ses-a``.
    messages : tuple of str
        What was made, what was there already.
    warnings : tuple of str
        Images that were not used.
    error : str or None
        Why nothing could be made.
    """

    label: str
    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None


def impute_dataset(
    settings: Settings,
    card: Card,
    wanted: Sequence[str] = (),
    *,
    precision: str = "auto",
    device: str = "cpu",
    alone: Callable[[Sequence[Session]], AbstractContextManager] = nullcontext,
) -> Iterator[Outcome]:
    """Make the missing contrasts of each session; those that are there already are kept.

    Parameters
    ----------
    settings : Settings
        ``bids_dir``, ``output_dir`` and ``participant_label`` count.
    card : Card
        Of a CollaGAN.
    wanted : sequence of str
        Contrasts to make where they are missing; all of the model's when empty.
    precision : {'auto', 'bf16', 'fp32'}
    device : str
    alone : callable
        Gives a context in which no other run writes about the sessions.

    Yields
    ------
    Outcome
        A session after the other. Nothing is written before everything that was asked for has been
        checked.

    Raises
    ------
    UsageError, DataError, ModelError
        What was asked for cannot be made of anybody.
    """
    contrasts = contrasts_of(card)
    check_wanted(wanted, contrasts)
    check_output_dir(settings.output_dir)
    sessions = find_contrasts(open_layout(settings), settings, contrasts)
    run = _Run(settings, card, choose_precision(precision, device), device)
    todo = [(session, _missing(session, wanted or contrasts)) for session in sessions]
    for session, missing in todo:
        run.check_makers(session, missing)
    writing = any(session.images and missing for session, missing in todo)
    with alone(sessions) if writing else nullcontext():
        if writing:
            write_description(settings, _ACKNOWLEDGE)
        for session, missing in todo:
            yield run.session(session, missing)


def _missing(session: SessionContrasts, wanted: Sequence[str]) -> list[str]:
    return [contrast for contrast in dict.fromkeys(wanted) if contrast not in session.images]


class _Run:
    """One call; its networks are loaded when somebody needs them."""

    def __init__(self, settings: Settings, card: Card, precision: str, device: str):
        self.settings, self.card = settings, card
        self.precision, self.device = precision, device

    @cached_property
    def anatomy_network(self) -> nn.Module:
        return load_model(find_card("anatomy")).network

    @cached_property
    def model(self) -> Model:
        return load_model(self.card)

    def check_makers(self, session: SessionContrasts, missing: Sequence[str]) -> None:
        """Refuse to replace what another model made."""
        for contrast in missing if session.images else ():
            path = self._path(session, contrast)
            before = _read_sidecar(path)
            if before.get("WeightsSHA256", self.card.sha256) != self.card.sha256:
                raise UsageError(
                    f"{path} was made by another model ({before.get('Model')}, SHA-256 "
                    f"{before['WeightsSHA256']}); give each model an OUTPUT of its own"
                )

    def session(self, session: SessionContrasts, missing: Sequence[str]) -> Outcome:
        """Make what a session lacks."""
        outcome = Outcome(session.label, warnings=session.notes)
        if not session.images:
            needed = ", ".join(contrasts_of(self.card))
            return replace(outcome, error=f"none of {needed} is there, one is needed")
        outdated = self._outdated(session, missing)
        outcome = replace(outcome, warnings=(*session.notes, *outdated))
        have = ", ".join(session.images)
        if not missing:
            return replace(outcome, messages=(f"nothing is missing, there are {have}",))
        todo = [contrast for contrast in missing if not self._is_made(session, contrast)]
        messages = [f"{contrast} was made before" for contrast in missing if contrast not in todo]
        try:
            aligned = self._align(session) if todo else None
            for contrast in todo:
                path = self._make(session, contrast, aligned)
                messages.append(f"made {contrast} from {have}: {path}")
        except DataError as error:
            outcome = replace(outcome, error=str(error))
        return replace(outcome, messages=tuple(messages))

    def _align(self, session: SessionContrasts) -> AlignedContrasts:
        reference = session.reference
        path = session.images[reference]
        anatomy = prepare_anatomy(
            load_volume(path),
            reference,
            self.anatomy_network,
            name=str(path),
            precision=self.precision,
        )
        return align_contrasts(anatomy, session.images, reference)

    def _make(self, session: SessionContrasts, contrast: str, aligned: AlignedContrasts) -> Path:
        made = make_contrast(
            aligned, contrast, self.model, precision=self.precision, device=self.device
        )
        grid = nib.funcs.squeeze_image(nib.load(session.images[session.reference]))
        data = resample(made.mean, made.affine, grid.shape, grid.affine)
        return write_output(
            "imputed",
            session.entities,
            nib.Nifti1Image(data, grid.affine),
            self.settings,
            metadata=self._metadata(session, contrast),
            space=session.reference,
            suffix=contrast,
        )

    def _metadata(self, session: SessionContrasts, contrast: str) -> dict[str, Any]:
        return sidecar(
            "imputed",
            self.settings,
            sources=session.images.values(),
            Description=f"{contrast} synthesised from {', '.join(session.images)}, white matter "
            "near 1; not a measurement.",
            SpatialReference=bids_uri(session.images[session.reference], self.settings),
            **provenance(self.card, self.device, self.precision),
        )

    def _outdated(self, session: SessionContrasts, missing: Sequence[str]) -> Iterator[str]:
        """Name what was made when other images were there, and would not be made now."""
        contrasts = contrasts_of(self.card)
        for space, contrast in product(contrasts, contrasts):
            path = self._path(session, contrast, space)
            if not path.is_file() or (space == session.reference and contrast in missing):
                continue
            if contrast in session.images:
                why = f"{contrast} is measured now"
            elif space != session.reference:
                why = f"{session.reference} is there now, which gives the space"
            else:  # made by a call that wanted more
                continue
            yield f"{path} is out of date, remove it: {why}"

    def _path(self, session: SessionContrasts, contrast: str, space: str | None = None) -> Path:
        names = {"space": space or session.reference, "suffix": contrast}
        return self.settings.output_dir / output_path("imputed", session.entities, **names)

    def _is_made(self, session: SessionContrasts, contrast: str) -> bool:
        """Whether it is there, made from the very images that are there now."""
        path = self._path(session, contrast)
        sources = self._metadata(session, contrast)["Sources"]
        return path.is_file() and _read_sidecar(path).get("Sources") == sources


def _read_sidecar(path: Path) -> dict[str, Any]:
    """JSON beside an image, empty when there is none that can be read."""
    return read_json(path.with_name(path.name.split(".")[0] + ".json")) or {}
