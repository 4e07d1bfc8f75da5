"""Methods text of a run: sentences that are true for what was done, with their citations."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bids_gan import __version__
from bids_gan.bids.outputs import output_path, write_text
from bids_gan.reports import bibliography
from bids_gan.reports.outcome import Outcome, model_name, read_outcome, sidecar_of
from bids_gan.text import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from bids_gan.bids.plan import DiffusionRun, Plan, SessionPlan
    from bids_gan.settings import Settings

    #: a run whose result exists
    Finished = tuple[DiffusionRun, Outcome]

PACKAGES = (
    "torch", "antspyx", "dipy", "nilearn", "nibabel", "numpy", "scipy", "scikit-image", "nipype",
    "pybids",
)  # fmt: skip


def write_boilerplate(settings: Settings, plan: Plan) -> list[Path]:
    """Write ``logs/CITATION.md``, ``.html`` and ``.bib``.

    Parameters
    ----------
    settings : Settings
    plan : Plan
        People and runs that the text is about.

    Returns
    -------
    list of Path
    """
    text = methods_text(settings, plan.sessions)
    body = bibliography.to_html(text)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Methods</title></head><body>\n{body}\n</body></html>\n"
    )
    contents = {
        "md": bibliography.with_references(text),
        "html": page,
        "bib": bibliography.bibtex(bibliography.cited_keys(text)),
    }
    markdown = settings.output_dir / output_path("citation", {})
    files = [markdown.with_suffix(f".{ext}") for ext in contents]
    for path, content in zip(files, contents.values(), strict=True):
        write_text(path, content)
    return files


def methods_text(settings: Settings, sessions: tuple[SessionPlan, ...]) -> str:
    """Methods section in Markdown with ``[@key]`` citations.

    Parameters
    ----------
    settings : Settings
    sessions : tuple of SessionPlan
        What the text speaks of: all sessions of a run, or those of one person.
    """
    made = {
        target: {s.label: m for s in sessions if (m := read_model(settings.output_dir, s, target))}
        for target in settings.synthesised
    }
    done = [s for s in sessions if any(s.label in models for models in made.values())]
    runs = [(r, read_outcome(settings.output_dir, r)) for s in sessions for r in s.dwi]
    finished = [(run, outcome) for run, outcome in runs if outcome.finished]
    paragraphs = [_introduction(), _anatomy(done), *_synthesis(made, finished)]
    paragraphs += [_diffusion(finished), _distortion(finished)]
    paragraphs += [_unfinished(len(runs) - len(finished)), _software()]
    return "\n\n".join(text for text in paragraphs if text)


def read_model(output_dir: Path, session: SessionPlan, target: str) -> dict[str, Any] | None:
    """What the sidecar of a synthetic image says of its generator; None without one."""
    return read_json(sidecar_of(output_dir, f"synth_{target.lower()}", session.entities))


def software_versions() -> dict[str, str]:
    """Package -> installed version, of the packages that results depend on."""
    versions = {"bids-gan": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _introduction() -> str:
    return (
        f"Results come from bids-gan {__version__}, a BIDS App [@gorgolewski2017apps] that reads "
        "datasets in the Brain Imaging Data Structure [@gorgolewski2016bids] and runs its steps "
        "with Nipype [@gorgolewski2011nipype]."
    )


def _anatomy(sessions: list[SessionPlan]) -> str:
    if not sessions:
        return ""
    masks = "The brain mask came from a segmentation network"
    reused = sum(s.brain_mask is not None for s in sessions)
    if reused:
        masks += f", and from earlier derivatives for {reused} of {_count(len(sessions), 'T1w')}"
    return (
        "### Anatomical images\n\n"
        "The T1-weighted image was corrected for intensity non-uniformity with N4 "
        "[@tustison2010n4] as distributed with ANTsPy [@tustison2021antsx]. "
        f"{masks}; structures were labelled by the same network. The brain was registered by an "
        "affine transform to the MNI152 template [@fonov2011template] that comes with Nilearn "
        "[@abraham2014nilearn]."
    )


#: contrast -> what is predicted
_CONTRASTS = {
    "FA": "a map of fractional anisotropy (FA)",
    "T2w": "a T2-weighted image",
    "FDG": "a map of the uptake of fluorodeoxyglucose (FDG PET)",
    "CT": "a computed tomogram (CT) in Hounsfield units",
}


def _synthesis(made: dict[str, dict[str, dict[str, Any]]], finished: list[Finished]) -> list[str]:
    """Paragraphs on what was made: the heading, one for each contrast, what they are good for.

    Parameters
    ----------
    made : dict
        Contrast -> session -> sidecar.
    finished : list of Finished
    """
    if not any(made.values()):
        return []
    caution = "Synthetic images are predictions and not measurements; none is for diagnosis."
    contrasts = [
        _contrast(target, list(models.values())) for target, models in made.items() if models
    ]
    return ["### Synthetic images", *contrasts, f"{caution} {_served(finished)}".rstrip()]


def _contrast(target: str, models: list[dict[str, Any]]) -> str:
    proposed = ", as proposed by Gu and colleagues [@gu2019synthesis]," if target == "FA" else ""
    names, networks, learnt = (
        sorted({each(model) for model in models}) for each in (model_name, _network, _learnt_from)
    )
    return (
        f"For {_count(len(models), 'T1w')}, {_CONTRASTS[target]} with the geometry of the "
        f"T1-weighted image was predicted from it{proposed} by {' or '.join(networks)} run with "
        f"PyTorch [@paszke2019pytorch] (generator: {', '.join(names)}). {' '.join(learnt)}"
    )


def _network(model: dict[str, Any]) -> str:
    """The kind of network, as far as the sidecar tells."""
    kind, dimensions = model.get("Network"), model.get("NetworkDimensions")
    article = f"a {dimensions}D" if dimensions else "a"
    if kind and "unet" in kind:
        return f"{article} convolutional network in the manner of the U-Net [@cicek2016unet]"
    return f"{article} neural network" + (f" of kind {kind}" if kind else "")


def _learnt_from(model: dict[str, Any]) -> str:
    """Sentence on the images that the generator was trained to make."""
    targets = model.get("Targets")
    if not targets:
        return "What images it was trained to make is not recorded."
    return f"Its card says of the images that it was trained to make: “{targets}”."


def _served(finished: list[Finished]) -> str:
    """What the synthetic FA was used for."""
    routes = Counter(run.route for run, _ in finished)
    sentences = []
    if finished:
        sentences.append(
            "The synthetic FA and the T1-weighted image together guided the rigid alignment of "
            f"{_count(len(finished), 'diffusion run')}."
        )
    if routes["synth"]:
        sentences.append(
            "The synthetic FA served as the target from which the distortion of "
            f"{_count(routes['synth'], 'diffusion run')} was estimated."
        )
    if routes["reverse-pe"]:
        sentences.append(
            "It was one of the images from which the displacement of "
            f"{_count(routes['reverse-pe'], 'diffusion run')} with an image of opposite phase "
            "encoding was expected beforehand."
        )
    if routes["measured"]:
        sentences.append(
            "Agreement with it was one of the criteria by which the measured field was judged for "
            f"{_count(routes['measured'], 'diffusion run')}."
        )
    return " ".join(sentences)


def _diffusion(finished: list[Finished]) -> str:
    if not finished:
        return ""
    return (
        "### Diffusion images\n\n"
        "Head motion was estimated as a rigid transform between every diffusion volume and the "
        "b=0 reference, and gradient directions were rotated accordingly "
        "[@leemans2009bmatrix]; framewise displacement follows Power and colleagues "
        "[@power2012fd]. The diffusion tensor [@basser1994tensor] was fitted by weighted least "
        "squares [@veraart2013wls] with DIPY [@garyfallidis2014dipy] inside the brain mask."
    )


#: route of a diffusion run -> how its field was estimated
_ROUTES = {
    "measured": (
        "With a field map that was measured in the same session (phase, where given, being "
        "unwrapped [@herraez2002unwrapping] as implemented in scikit-image "
        "[@vanderwalt2014skimage]), susceptibility distortion was computed as a displacement "
        "along the phase-encoding axis through the total readout time. The field was taken inside "
        "the brain, smoothed with weights by the magnitude of the gradient echo, continued beyond "
        "the brain, and moved with the head."
    ),
    "reverse-pe": (
        "With an image of opposite phase encoding, susceptibility distortion was estimated as a "
        "displacement along the phase-encoding axis, together with the head's motion between the "
        "two images, that makes their corrected b=0 images equal [@andersson2003distortion], and "
        "expressed as a field in Hz through the total readout time. What a network that was "
        "trained on simulated runs expects of the displacement, given the first image, its FA, "
        "the T1-weighted image and the synthetic FA, was weighed in the same objective by its "
        "predicted variance and by the noise of the two images."
    ),
    "synth": (
        "With the synthetic FA, susceptibility distortion was estimated as a displacement along "
        "the phase-encoding axis, predicted by a network that was trained on simulated runs and "
        "refined to make the measured FA and b=0 image agree with the synthetic FA and the "
        "anatomy, and expressed as a field in Hz through the total readout time. The network also "
        "told a rigid move between the T1-weighted and the b=0 image from the axes that "
        "distortion does not act along, beginning with their headers unless a rigid registration "
        "made it clearly surer."
    ),
}


#: route of a field for comparison -> where it is from
_CHECKS = {
    "measured": (
        "a field map that was measured in the same session (phase, where given, being unwrapped "
        "[@herraez2002unwrapping])"
    ),
    "reverse-pe": "an image of opposite phase encoding [@andersson2003distortion]",
}


def _distortion(finished: list[Finished]) -> str:
    if not finished:
        return ""
    outcomes = [outcome for _, outcome in finished]
    corrected = sum(o.corrected for o in outcomes)
    withdrawn = sum(o.withdrawn for o in outcomes)
    untouched = len(finished) - corrected - withdrawn
    routes = {run.route for run, _ in finished}
    sentences = [text for route, text in _ROUTES.items() if route in routes]
    if corrected:
        sentences.append(
            f"The correction was kept for {_count(corrected, 'diffusion run')}: motion and "
            "distortion were undone in one interpolation, with the intensities multiplied by "
            "the Jacobian determinant of the displacement [@andersson2003distortion]."
        )
    if withdrawn:
        sentences.append(
            f"It was withdrawn for {_count(withdrawn, 'diffusion run')} because it did not pass "
            "the quality gate; only head motion was corrected there."
        )
    if untouched:
        reasons = sorted({r.reason.rstrip(".") for r, _ in finished if r.route == "none"})
        because = f" ({'; '.join(reasons)})" if reasons else ""
        sentences.append(
            f"No distortion correction was made for {_count(untouched, 'diffusion run')}{because}."
        )
    sentences += _checks(outcomes)
    return "### Susceptibility distortion\n\n" + " ".join(sentences)


def _checks(outcomes: list[Outcome]) -> list[str]:
    """Sentences on the fields that were computed for comparison."""
    sentences = []
    for route, origin in _CHECKS.items():
        checks = [o.check for o in outcomes if o.check.get("Route") == route]
        if not checks:
            continue
        text = (
            f"For {_count(len(checks), 'diffusion run')}, a field was also computed from "
            f"{origin}; it was for comparison only and corrected nothing."
        )
        if doubtful := sum(check.get("accepted") is not True for check in checks):
            text += f" It was not believable, and not compared, for {doubtful} of them."
        sentences.append(text)
    return sentences


def _unfinished(missing: int) -> str:
    if not missing:
        return ""
    return f"No result existed for {_count(missing, 'diffusion run')} when this text was written."


def _software() -> str:
    used = [f"{name} {number}" for name, number in software_versions().items()]
    return "Software versions: " + ", ".join(used) + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 or what.endswith("w") else "s")
