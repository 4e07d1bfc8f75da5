"""What became of every diffusion run, read from the derivatives: the report's only memory.

Reports are written from files alone, so that ``--reports-only`` needs no processing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_gan.bids.outputs import output_path
from bids_gan.reports.numbers import format_value, is_number, read_numbers
from bids_gan.text import read_json

if TYPE_CHECKING:
    from bids_gan.bids.plan import DiffusionRun

# state -> word shown beside the colour, worst last
STATES = {"good": "Good", "attention": "Check", "bad": "Failed"}
#: route -> what its run is corrected with
FIELDS = {
    "measured": "the measured field map",
    "reverse-pe": "a field estimated from the image of opposite phase encoding",
    "synth": "a field estimated from the synthetic FA",
}

#: score (`bids_gan.synthesis.familiarity`) above which a result deserves distrust
OUT_OF_DISTRIBUTION = 4.0


@dataclass(frozen=True)
class Outcome:
    """What was done with one diffusion run.

    Attributes
    ----------
    state : {'good', 'attention', 'bad'}
    sentence : str
        What was done and why, in words.
    corrected : bool
        Whether the distortion was corrected and the correction kept.
    withdrawn : bool
        Whether a correction was estimated and then withdrawn by the quality gate.
    finished : bool
        Whether the result exists.
    numbers : dict
        Quality numbers by name.
    check : dict
        What became of the other field, computed for comparison only: ``Route``, ``accepted``,
        ``reasons``; empty where there is none.
    """

    state: str
    sentence: str
    corrected: bool = False
    withdrawn: bool = False
    finished: bool = True
    numbers: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)


def sidecar_of(output_dir: Path, key: str, entities: dict[str, Any]) -> Path:
    """Path of the JSON file that belongs to an image among the outputs."""
    image = str(output_path(key, entities))
    return Path(output_dir) / (image.removesuffix(".gz").removesuffix(".nii") + ".json")


def read_outcome(output_dir: Path, run: DiffusionRun) -> Outcome:
    """Judge one diffusion run by the sidecar of its result.

    Parameters
    ----------
    output_dir : Path
        Derivatives folder.
    run : DiffusionRun
        What the plan says of it.

    Returns
    -------
    Outcome
    """
    sidecar = read_json(sidecar_of(output_dir, "dwi", run.entities))
    if sidecar is None:
        return Outcome(
            "bad", "No result: processing failed or has not finished, see Errors.", finished=False
        )
    known = {"numbers": read_numbers(sidecar), "check": sidecar.get("SDCCheck") or {}}
    if run.route == "none":
        return Outcome("attention", f"Not corrected for distortion: {run.reason}", **known)
    quality = sidecar.get("SDCQuality") or {}
    reasons = format_value(quality.get("reasons"), missing="").replace(".;", ";").rstrip(".")
    if quality.get("accepted") is True:
        sentence = f"Distortion corrected with {FIELDS[run.route]}; "
        sentence += "the quality gate accepted it" + (f": {reasons}." if reasons else ".")
        return Outcome("good", sentence, corrected=True, **known)
    if quality.get("accepted") is False:
        return Outcome(
            "attention",
            "Distortion correction withdrawn by the quality gate: "
            f"{reasons or 'no reason recorded'}. The result is corrected for head motion only.",
            withdrawn=True,
            **known,
        )
    return Outcome(
        "attention",
        "The sidecar of the result holds no SDCQuality block: whether the correction was kept "
        "is not known.",
        **known,
    )


def read_synthesis(output_dir: Path, entities: dict[str, str], target: str) -> Outcome:
    """Judge one synthetic image by its sidecar.

    Parameters
    ----------
    output_dir : Path
    entities : dict
        Of the session.
    target : str
        Contrast.

    Returns
    -------
    Outcome
    """
    model = read_json(sidecar_of(output_dir, f"synth_{target.lower()}", entities))
    if model is None:
        return Outcome("bad", f"No synthetic {target} was written, see Errors.", finished=False)
    sentence = f"Synthetic {target} written (generator: {model_name(model)})."
    score = model.get("OutOfDistribution")
    if not is_number(score):
        return Outcome("good", sentence)
    far = score > OUT_OF_DISTRIBUTION
    sentence += " The T1w is unlike those of the training:" if far else " The T1w has"
    sentence += (
        f" out-of-distribution score {format_value(score)} "
        f"(about 1 is usual, more than {OUT_OF_DISTRIBUTION:g} deserves distrust)."
    )
    return Outcome("attention" if far else "good", sentence)


def model_name(model: dict[str, Any]) -> str:
    """Name, version and checksum of the generator that a sidecar names."""
    name = str(model.get("Model", "not recorded"))
    if model.get("ModelVersion"):
        name += f" version {model['ModelVersion']}"
    if model.get("WeightsSHA256"):
        name += f", SHA-256 of the weights {str(model['WeightsSHA256'])[:12]}"
    return name


def worst(states: list[str]) -> str:
    """The worst of several states; 'bad' when there is nothing to judge."""
    order = list(STATES)
    return max(states, key=order.index, default="bad")
