"""Synthetic images against the truth, over people, beside baselines that know less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bids_gan.errors import ModelError, UsageError
from bids_gan.evaluate import metrics
from bids_gan.evaluate.baselines import Voxels, baseline_images, scored_voxels
from bids_gan.evaluate.case import TISSUES, Case, prepare_case
from bids_gan.evaluate.people import Study
from bids_gan.images import load_volume
from bids_gan.models.registry import Model, card_for_target, find_card, load_model
from bids_gan.pairs.template import align_template
from bids_gan.synthesis.generate import synthesise

#: voxels that count as white matter of high anisotropy
HIGH_FA = 0.4
#: contrast -> data range of PSNR and SSIM; None: the 99.9th percentile of the person's truth
DATA_RANGES = {"FA": 1.0, "T2w": None, "FDG": None, "CT": 4000.0}
UNITS = {"FA": "", "T2w": "white-matter mean", "FDG": "cerebellar mean", "CT": "HU"}


@dataclass(frozen=True)
class Result:
    """All images of one person, and how well each agrees with the truth.

    Attributes
    ----------
    case : Case
    data_range : float
        Of PSNR and SSIM.
    images : dict of str to (I, J, K) array
        On the grid of the truth.
    scores : dict of str to dict of str to float
        Image -> measure -> value.
    """

    case: Case
    data_range: float
    images: dict[str, np.ndarray]
    scores: dict[str, dict[str, float]]


def score(image: np.ndarray, case: Case, target: str, data_range: float) -> dict[str, float]:
    """Every measure of one image of a person.

    Parameters
    ----------
    image : (I, J, K) array
        On the grid of the truth.
    case : Case
    target : str
    data_range : float

    Returns
    -------
    dict
        ``psnr``, ``ssim`` and ``mae`` after a linear calibration to the truth, which is granted
        to every image alike; ``psnr_raw`` and ``mae_raw`` of the values as they are; errors by
        tissue and region after calibration.
    """
    truth, mask = case.truth, case.mask
    fitted = metrics.linear_calibration(image, truth, mask)
    values = {
        "r": metrics.pearson(image, truth, mask),
        "psnr": metrics.psnr(fitted, truth, mask, data_range),
        "ssim": metrics.ssim(fitted, truth, mask, data_range),
        "mae": metrics.mean_absolute_error(fitted, truth, mask),
        "psnr_raw": metrics.psnr(image, truth, mask, data_range),
        "mae_raw": metrics.mean_absolute_error(image, truth, mask),
        "sharpness": metrics.sharpness(image, truth, mask),
    }
    if target == "FA":
        values["r_high_fa"] = metrics.pearson(image, truth, mask & (truth > HIGH_FA))
    for labels, names in ((case.tissue, TISSUES), (case.regions, case.region_names)):
        errors = metrics.error_by_label(fitted, truth, mask, labels)
        values |= {f"mae_{names[n]}": error for n, error in errors.items()}
    return values


def evaluate(study: Study) -> Iterator[Result]:
    """Compare generators and baselines with the truth, person by person.

    Parameters
    ----------
    study : Study

    Raises
    ------
    UsageError, DataError, ModelError
    """
    if study.target not in DATA_RANGES:
        raise UsageError(f"target {study.target!r}: accepted are {', '.join(DATA_RANGES)}")
    models = _models(study)
    network = load_model(find_card("anatomy")).network
    template = None
    if study.template is not None:
        template = load_volume(study.template)
        # a head shares little with the white-matter map that the others are aligned to
        template = template if study.target == "CT" else align_template(template)

    def case(subject) -> Case:
        return prepare_case(subject, study.target, study.register, network, study.border_mm)

    training = None
    if study.training:
        training = scored_voxels([case(subject) for subject in study.training])
    for subject in study.people:
        yield compare(case(subject), study.target, models, template, training)


def compare(
    case: Case, target: str, models: list[Model], template, training: Voxels | None
) -> Result:
    """Make and score every image of one person."""
    images = {}
    for model in models:
        synthetic = synthesise(case.anatomy, model)
        images[model.card.name] = case.on_grid(synthetic.mean, synthetic.affine)
    images |= baseline_images(case, target, template, training)
    data_range = DATA_RANGES[target] or float(np.percentile(case.truth[case.mask], 99.9))
    scores = {name: score(image, case, target, data_range) for name, image in images.items()}
    return Result(case, data_range, images, scores)


def _models(study: Study) -> list[Model]:
    cards = [find_card(name) for name in study.models] or [card_for_target(study.target)]
    names = [card.name for card in cards]
    for card in cards:
        if card.target != study.target:
            raise ModelError(f"{card.path}: makes {card.target}, {study.target} is evaluated")
        if names.count(card.name) > 1:
            raise UsageError(f"--model: two are named {card.name}; the table could not tell them")
    return [load_model(card) for card in cards]
