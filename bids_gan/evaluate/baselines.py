"""Images made by methods that know less than a generator: each has to be beaten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_gan.evaluate.case import Case
from bids_gan.pairs.template import warp_templates

#: points of the histograms that are matched
QUANTILES = np.linspace(0, 1, 257)


@dataclass(frozen=True)
class Voxels:
    """Intensity and truth of the voxels that are scored, of one person or of several."""

    intensity: np.ndarray
    truth: np.ndarray


def scored_voxels(cases: list[Case]) -> Voxels:
    """T1w intensity (white matter at 1) and truth where the cases are scored."""
    pairs = [(intensity_on_grid(case)[case.mask], case.truth[case.mask]) for case in cases]
    return Voxels(*(np.concatenate(values) for values in zip(*pairs, strict=True)))


def intensity_on_grid(case: Case) -> np.ndarray:
    """T1w without bias field on the grid of the truth; of the brain alone if that is scored."""
    anatomy = case.anatomy
    t1w = anatomy.t1w if case.whole_head else np.where(anatomy.mask, anatomy.t1w, 0)
    return case.on_grid(t1w, anatomy.affine)


def linear_regression(image: np.ndarray, voxels: Voxels) -> np.ndarray:
    """Straight line from intensity to truth, by least squares over `voxels`."""
    design = np.stack([voxels.intensity, np.ones_like(voxels.intensity)], axis=1)
    gain, offset = np.linalg.lstsq(design.astype(float), voxels.truth.astype(float), rcond=None)[0]
    return gain * image + offset


def match_histogram(image: np.ndarray, mask: np.ndarray, voxels: Voxels) -> np.ndarray:
    """Rising curve that gives the image, in the mask, the histogram of the truth of `voxels`."""
    have = np.quantile(image[mask], QUANTILES)
    want = np.quantile(voxels.truth, QUANTILES)
    # a value that fills several quantiles stands for the middle of them
    values, first = np.unique(have, return_index=True)
    last = np.append(first[1:], len(have))
    return np.interp(image, values, [want[a:b].mean() for a, b in zip(first, last, strict=True)])


def baseline_images(
    case: Case, target: str, template, training: Voxels | None
) -> dict[str, np.ndarray]:
    """All baselines of a person on the grid of the truth, by name.

    Parameters
    ----------
    case : Case
    target : str
        FA has two more: the teacher of the pseudo-targets, and the tissue map alone.
    template : image or None
        Population mean in the space of the T1w template,
        :func:`bids_gan.pairs.template.align_template`.
    training : Voxels or None
        Of other people.
    """
    images = {}
    if target == "FA":
        images["P(white) alone"] = case.on_grid(case.anatomy.white, case.anatomy.affine)
    if template is not None:
        anatomy = case.anatomy
        (warped,) = warp_templates([template], anatomy, head=True)
        images["warped template"] = case.on_grid(warped, anatomy.affine)
        if target == "FA":
            product = warped * anatomy.white
            images["warped template × P(white)"] = case.on_grid(product, anatomy.affine)
    intensity, own = intensity_on_grid(case), scored_voxels([case])
    sources = {"fitted to this very person": own}
    if training is not None:
        sources["fitted to training people"] = training
    for source, voxels in sources.items():
        images[f"linear regression on intensity, {source}"] = linear_regression(intensity, voxels)
        images[f"histogram matching, {source}"] = match_histogram(intensity, case.mask, voxels)
    images["constant"] = np.full_like(case.truth, own.truth.mean())
    return images
