"""Methods text of a run: sentences that are true for what was done, with their citations."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bids_gan import __version__
from bids_gan.bids.outputs import output_path, write_text
from bids_gan.reports import bibliography
from bids_gan.reports.outcome import Outcome, model_name, read_outcome, sidecar_of
from bids_gan.text import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from bids_gan.bids.plan import Plan, SessionPlan
    from bids_gan.bids.route import Route
    from bids_gan.settings import Settings

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
    models = {s.label: read_model(settings.output_dir, s) for s in sessions}
    done = [s for s in sessions if models[s.label]]
    outcomes = [
        (run.correction, read_outcome(settings.output_dir, run)) for s in sessions for run in s.dwi
    ]
    finished = [(route, outcome) for route, outcome in outcomes if outcome.finished]
    paragraphs = [_introduction(), _anatomy(done), _synthesis([models[s.label] for s in done])]
    paragraphs += [_diffusion(), _distortion(finished)] if finished else []
    paragraphs += [_unfinished(len(outcomes) - len(finished)), _software()]
    return "\n\n".join(text for text in paragraphs if text)


def read_model(output_dir: Path, session: SessionPlan) -> dict[str, Any] | None:
    """What the sidecar of a session's synthetic FA says of the generator; None without one."""
    return read_json(sidecar_of(output_dir, "synth_fa", session.entities))


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


def _synthesis(models: list[dict[str, Any]]) -> str:
    if not models:
        return ""
    names = sorted({model_name(model) for model in models})
    return (
        "### Synthetic fractional anisotropy\n\n"
        "A map of fractional anisotropy (FA) with the geometry of the T1-weighted image was "
        "predicted from it, as proposed by Gu and colleagues [@gu2019synthesis], by a 3D "
        "convolutional network in the manner of the U-Net [@cicek2016unet] run with PyTorch "
        f"[@paszke2019pytorch] (generator: {', '.join(names)}). The map is a prediction and "
        "served as the target of distortion correction only; it is not a measurement."
    )


def _diffusion() -> str:
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
        "With a field map that was measured in the same session (phase being unwrapped "
        "[@herraez2002unwrapping] as implemented in scikit-image [@vanderwalt2014skimage]), "
        "susceptibility distortion was computed as a displacement along the phase-encoding axis "
        "through the total readout time. The field was taken inside the brain, smoothed with "
        "weights by the magnitude of the gradient echo, continued beyond the brain, and moved "
        "with the head."
    ),
    "reverse-pe": (
        "With an image of opposite phase encoding, susceptibility distortion was estimated as a "
        "displacement along the phase-encoding axis, together with the head's motion between the "
        "two images, that makes their corrected b=0 images equal [@andersson2003distortion], and "
        "expressed as a field in Hz through the total readout time."
    ),
    "synth": (
        "With the synthetic FA, susceptibility distortion was estimated as a displacement along "
        "the phase-encoding axis that makes the measured FA and b=0 image agree with the "
        "synthetic FA and the anatomy, after rigid registration of the T1-weighted to the b=0 "
        "image, and expressed as a field in Hz through the total readout time."
    ),
}


def _distortion(finished: list[tuple[Route, Outcome]]) -> str:
    corrected = sum(outcome.corrected for _, outcome in finished)
    withdrawn = sum(outcome.withdrawn for _, outcome in finished)
    untouched = len(finished) - corrected - withdrawn
    sentences = []
    routes = {route.name for route, _ in finished}
    sentences += [text for route, text in _ROUTES.items() if route in routes]
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
        reasons = sorted(
            {route.reason.rstrip(".") for route, _ in finished if route.name == "none"}
        )
        because = f" ({'; '.join(reasons)})" if reasons else ""
        sentences.append(
            f"No distortion correction was made for {_count(untouched, 'diffusion run')}{because}."
        )
    return "### Susceptibility distortion\n\n" + " ".join(sentences)


def _unfinished(missing: int) -> str:
    if not missing:
        return ""
    return f"No result existed for {_count(missing, 'diffusion run')} when this text was written."


def _software() -> str:
    used = [f"{name} {number}" for name, number in software_versions().items()]
    return "Software versions: " + ", ".join(used) + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 or what.endswith("w") else "s")
