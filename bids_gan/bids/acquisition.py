"""Phase encoding and readout time of a diffusion run, each with the place it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_gan.errors import DataError

DIRECTIONS = ("i", "i-", "j", "j-", "k", "k-")
#: no EPI reads out for longer (s); larger values are milliseconds in disguise
LONGEST_READOUT = 1.0
#: no EPI has more
MOST_LINES = 10_000
_READOUT_REMEDY = (
    "add TotalReadoutTime or EffectiveEchoSpacing (in seconds), or give the readout time with "
    "--fallback-total-readout-time"
)
#: what some converters guess; never used unless the user says so
_ESTIMATES = ("EstimatedTotalReadoutTime", "EstimatedEffectiveEchoSpacing")

#: word of ImageType -> whether the image was corrected for gradient non-linearity
_GRADIENT_CORRECTION = {"DIS2D": True, "DIS3D": True, "ND": False}


@dataclass(frozen=True)
class Fact:
    """A value and where it comes from; without a value, what is missing and what would help."""

    value: Any
    source: str
    remedy: str = ""


def phase_encoding(metadata: Mapping[str, Any]) -> Fact:
    """Phase-encoding direction of a run.

    Parameters
    ----------
    metadata
        Content of the run's JSON file (after inheritance).

    Returns
    -------
    Fact
        One of ``i i- j j- k k-``, or ``None`` when the sign or everything is missing.
    """
    key = "PhaseEncodingDirection"
    value = metadata.get(key)
    if value in DIRECTIONS:
        return Fact(value, key)
    remedy = f"add {key}: one of {', '.join(DIRECTIONS)}"
    if value is not None:
        return Fact(None, f"{key} is {value!r}, none of {', '.join(DIRECTIONS)}", remedy)
    axis = metadata.get("PhaseEncodingAxis")
    if axis is None:
        return Fact(None, f"{key} is missing", remedy)
    return Fact(
        None,
        f"{key} is missing, and PhaseEncodingAxis ({axis!r}) does not tell the sign",
        f"add {key}, {axis!r} or {f'{axis}-'!r}: a wrong sign would double the distortion",
    )


def gradient_correction(metadata: Mapping[str, Any]) -> Fact:
    """Whether the scanner corrected an image for the non-linearity of its gradients.

    Parameters
    ----------
    metadata
        Content of the image's JSON file (after inheritance).

    Returns
    -------
    Fact
        ``NonlinearGradientCorrection``, else what ``ImageTypeText`` or ``ImageType`` says (DIS2D
        and DIS3D: yes, ND: no); ``None`` when nothing is said.
    """
    key = "NonlinearGradientCorrection"
    if isinstance(said := metadata.get(key), bool):
        return Fact(said, f"{key} is {str(said).lower()}")
    for key in ("ImageTypeText", "ImageType"):
        words = metadata.get(key)
        for word in words if isinstance(words, list) else ():
            if word in _GRADIENT_CORRECTION:
                return Fact(_GRADIENT_CORRECTION[word], f"{key} has {word}")
    return Fact(None, "not said")


def shapes_differ(run: Path, of_t1w: Fact, of_run: Fact) -> list[str]:
    """Warn where the T1w, to whose shape a run is brought, has that of other gradients.

    Parameters
    ----------
    run
        The diffusion image.
    of_t1w, of_run
        See :func:`gradient_correction`.

    Returns
    -------
    list of str
        Empty when both agree, or one says nothing.
    """
    if None in (of_t1w.value, of_run.value) or of_t1w.value == of_run.value:
        return []
    corrected, other = ("T1w", "diffusion run") if of_t1w.value else ("diffusion run", "T1w")
    return [
        f"WARNING: {run.name} and the T1w have different shapes. The {corrected} is corrected "
        f"for the non-linearity of the gradients, the {other} is not (T1w: {of_t1w.source}; run: "
        f"{of_run.source}). Far from the centre of the scanner they differ by millimetres, part "
        "of which will be taken for susceptibility distortion: use images that agree if the "
        "scanner kept them, and believe the field of this run less."
    ]


def readout_time(
    metadata: Mapping[str, Any],
    image: Path,
    pe_direction: str | None,
    fallback: float | None,
) -> Fact:
    """Total readout time of a run in seconds.

    ``TotalReadoutTime``, else ``EffectiveEchoSpacing`` x (reconstructed lines along the
    phase-encoding axis - 1), else the value of ``--fallback-total-readout-time``.

    Parameters
    ----------
    metadata
        Content of the run's JSON file (after inheritance).
    image
        The diffusion image, whose header gives the number of lines.
    pe_direction
        ``i i- j j- k k-``; ``None`` when unknown, so that lines cannot be counted.
    fallback
        Seconds, from the command line.

    Returns
    -------
    Fact
        Seconds, or ``None``, what is missing and what would help.

    Notes
    -----
    BIDS defines the readout time from the centre of the first to the centre of the last line of
    the reconstructed image, hence the "- 1".
    """
    total = _seconds(metadata, "TotalReadoutTime")
    if total.value is not None:
        return total
    spacing = _seconds(metadata, "EffectiveEchoSpacing")
    if spacing.value is not None:
        computed = _from_echo_spacing(metadata, spacing.value, image, pe_direction)
        if computed.value is not None or fallback is None:
            return computed
    if fallback is not None:
        return Fact(fallback, "--fallback-total-readout-time")
    faults = [fact.source for fact in (total, spacing)]
    guesses = [f"{key} ({metadata[key]})" for key in _ESTIMATES if key in metadata]
    if guesses:
        faults.append(f"{' and '.join(guesses)} only estimated by the converter, not used")
    return Fact(None, ", ".join(faults), _READOUT_REMEDY)


def _seconds(metadata: Mapping[str, Any], key: str) -> Fact:
    value = metadata.get(key)
    if value is None:
        return Fact(None, f"{key} is missing")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return Fact(None, f"{key} is {value!r}, which is no number")
    if not 0 < value < LONGEST_READOUT:
        return Fact(None, f"{key} is {value}, which cannot be seconds")
    return Fact(float(value), key)


def _from_echo_spacing(
    metadata: Mapping[str, Any], spacing: float, image: Path, pe_direction: str | None
) -> Fact:
    lines, counted = metadata.get("ReconMatrixPE"), "ReconMatrixPE"
    if lines is not None and (type(lines) is not int or not 2 <= lines <= MOST_LINES):
        return Fact(
            None, f"ReconMatrixPE is {lines!r}, which is no number of lines", _READOUT_REMEDY
        )
    if lines is None:
        counted = "lines of the image"
        lines = None if pe_direction is None else _lines(image, pe_direction)
    if lines is None:
        return Fact(
            None,
            "TotalReadoutTime is missing, and EffectiveEchoSpacing needs the number of "
            "phase-encoding lines (no ReconMatrixPE, and no direction or no readable header)",
            _READOUT_REMEDY,
        )
    value = spacing * (lines - 1)
    source = f"EffectiveEchoSpacing x ({lines} - 1), {counted}"
    if value >= LONGEST_READOUT:
        fault = f"{source}, gives {value:g} s, longer than any EPI readout"
        return Fact(None, fault, _READOUT_REMEDY)
    return Fact(value, source)


def _lines(image: Path, pe_direction: str) -> int | None:
    from bids_gan.images import open_image

    try:
        return int(open_image(image).shape["ijk".index(pe_direction[0])])
    except (DataError, IndexError):
        return None
