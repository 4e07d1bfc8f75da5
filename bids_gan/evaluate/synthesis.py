"""Synthetic against measured FA of one person, beside baselines that know less."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.anatomy.prepare import prepare_t1w
from bids_gan.errors import DataError
from bids_gan.evaluate.metrics import linear_calibration, mean_absolute_error, pearson, psnr
from bids_gan.geometry import resample
from bids_gan.models.registry import find_card, load_model
from bids_gan.pairs.template import align_template, warp_template
from bids_gan.synthesis.generate import crop_to_brain, synthesise

#: voxels that count as white matter of high anisotropy
HIGH_FA = 0.4


@dataclass(frozen=True)
class Score:
    """Agreement with the measured FA; PSNR and MAE after a linear calibration, data range 1."""

    name: str
    r: float
    psnr_db: float
    mae: float
    r_high: float

    def row(self) -> str:
        """One line of the Markdown table."""
        return (
            f"| {self.name} | {self.r:.3f} | {self.psnr_db:.2f} | {self.mae:.3f} "
            f"| {self.r_high:.3f} |"
        )


HEADER = (
    "| image | r | PSNR dB (calibrated, range 1) | MAE (calibrated) | r where FA > 0.4 |\n"
    "|---|---|---|---|---|"
)


def score(name: str, image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> Score:
    """Compare an image with the measured FA on its grid.

    Parameters
    ----------
    name : str
    image, truth : (I, J, K) array
    mask : (I, J, K) bool array
    """
    fitted = linear_calibration(image, truth, mask)
    return Score(
        name,
        pearson(image, truth, mask),
        psnr(fitted, truth, mask, 1.0),
        mean_absolute_error(fitted, truth, mask),
        pearson(image, truth, mask & (truth > HIGH_FA)),
    )


def evaluate_person(
    t1w: Path, measured_fa: Path, mask: Path, template: Path, model: str = "t1w-to-fa"
) -> str:
    """Markdown table of the generator and its baselines against a person's measured FA.

    Parameters
    ----------
    t1w, measured_fa, mask, template : Path
        The measured FA must be free of distortion and share the T1w's world space; the mask lies
        on its grid. Every image made from the T1w is resampled once, onto that grid.
    model : str
        Name or path of the generator.

    Returns
    -------
    str
    """
    for path in (t1w, measured_fa, mask, template):
        if not path.exists():
            raise DataError(f"{path}: no such file")
    measured = nib.load(measured_fa)
    truth = np.asarray(measured.dataobj, np.float32)
    inside = np.asarray(nib.load(mask).dataobj) > 0.5
    mask_network = load_model(find_card("brain-mask")).network
    anatomy = prepare_t1w(nib.load(t1w), mask_network, name=str(t1w))
    synthetic = synthesise(anatomy, load_model(find_card(model)))
    intensity, _, affine = crop_to_brain(anatomy)
    white = resample(anatomy.white, anatomy.affine, intensity.shape, affine)
    warped = warp_template(align_template(nib.load(template)), anatomy)

    def on_grid(image: np.ndarray) -> np.ndarray:
        return resample(image, affine, truth.shape, measured.affine)

    rows = [
        score(f"generator {model}", on_grid(synthetic.mean), truth, inside),
        score("warped template", on_grid(warped), truth, inside),
        score("warped template × P(white)", on_grid(warped * white), truth, inside),
        score("P(white) alone", on_grid(white), truth, inside),
        score("linear regression on T1w intensity", on_grid(intensity), truth, inside),
        score("constant", np.zeros_like(truth), truth, inside),
    ]
    return "\n".join([HEADER, *(row.row() for row in rows)])
