"""Sign and units on a real person: one field in Hz corrects both blips, or spoils both."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.diffusion.gradients import load_gradients
from bids_gan.diffusion.mask import b0_mask
from bids_gan.diffusion.reference import b0_reference
from bids_gan.distortion.measurement import clean_field, load_measurement
from bids_gan.distortion.unwarp import correct_series

pytestmark = pytest.mark.real

READOUT = 0.0475693
BLIPS = {"AP": "j-", "PA": "j"}


def load(test_data, direction):
    stem = str(test_data / "xa30" / "sub-01" / "dwi" / f"sub-01_dir-{direction}_dwi")
    series = nib.load(stem + ".nii.gz")
    return series, load_gradients(stem + ".bval", stem + ".bvec", series.shape[3])


@pytest.fixture(scope="module")
def judges(test_data):
    folder = test_data / "xa30_reference"
    hz = np.asarray(nib.load(folder / "blip_pair_field_hz.nii.gz").dataobj, np.float32)
    mask = np.asarray(nib.load(folder / "evaluation_mask.nii.gz").dataobj) > 0
    references = {d: b0_reference(*load(test_data, d)) for d in BLIPS}
    return hz, mask, references


def agreement(judges, factor, hz=None):
    """Correlation of the two blips' b=0 images after correction with `factor` times a field."""
    reference, mask, references = judges
    hz = reference if hz is None else hz
    corrected = [
        np.asarray(correct_series(references[d], factor * hz, pe, READOUT).dataobj)[mask]
        for d, pe in BLIPS.items()
    ]
    return np.corrcoef(*corrected)[0, 1]


def test_the_reference_field_makes_the_blips_agree(judges):
    assert agreement(judges, 0) < 0.8
    assert agreement(judges, 1) > 0.95


def test_the_wrong_sign_makes_them_disagree(judges):
    assert agreement(judges, -1) < agreement(judges, 0) - 0.1


def test_the_phase_difference_has_the_sign_of_the_reference(judges, test_data):
    folder = test_data / "xa30" / "sub-01" / "fmap"
    measurement = load_measurement(
        [folder / "sub-01_phasediff.nii.gz"],
        folder / "sub-01_magnitude1.nii.gz",
        (0.01, 0.01246),
        None,
    )
    field = clean_field(measurement, b0_mask(measurement.magnitude, measurement.affine))
    hz = field.on_grid(judges[2]["AP"], np.eye(4))
    assert agreement(judges, 1, hz) > 0.85
    assert agreement(judges, -1, hz) < agreement(judges, 0) - 0.1
