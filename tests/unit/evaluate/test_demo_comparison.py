from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bids_gan.evaluate.demo import Correction, Truth, compare_with_truth, format_comparison

AFFINE = np.diag([-2.0, 2.5, 3.0, 1.0])
READOUT = 0.04
MM_PER_HZ = 2.5 * READOUT


def _image(data: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(data, np.float32), AFFINE)


@pytest.fixture
def truth() -> Truth:
    rng = np.random.default_rng(0)
    shape = (12, 14, 10)
    mask = np.zeros(shape)
    mask[2:-2, 2:-2, 2:-2] = 1
    return Truth(
        field=_image(np.full(shape, 30.0)),
        b0=_image(800 * rng.random(shape) * mask),
        fa=_image(rng.random(shape) * mask),
        mask=_image(mask),
        fa_t1w=_image(rng.uniform(0.1, 0.8, shape) * mask),
        dwi_to_t1w=nib.affines.from_matvec(np.eye(3), [5, -2, 1]),
        pe_direction="j-",
        readout_time=READOUT,
    )


@pytest.fixture
def perfect(truth) -> Correction:
    blank = _image(np.zeros(truth.mask.shape))
    return Correction(
        field=truth.field,
        b0_before=blank,
        b0_after=_image(3 * truth.b0.get_fdata()),
        fa_before=blank,
        fa_after=truth.fa,
        synthetic_fa=truth.fa_t1w,
        dwi_to_t1w=truth.dwi_to_t1w,
    )


def test_perfect_correction(truth, perfect):
    result = compare_with_truth(truth, perfect)
    assert result.median_mm == pytest.approx((30 * MM_PER_HZ, 0))
    assert result.b0_psnr[1] > 100  # the scale of the b0 does not matter
    assert result.fa_psnr[1] == np.inf
    assert result.fa_correlation == pytest.approx(1)
    assert result.min_jacobian == 1
    assert result.improved


def test_errors_are_those_put_in(truth, perfect):
    brain = truth.mask.get_fdata() > 0
    field = truth.field.get_fdata() + 10
    field[brain] += np.where(np.arange(brain.sum()) % 2, 5, -5)
    worse = replace(
        perfect, field=_image(field), fa_after=_image(truth.fa.get_fdata() + 0.1 * brain)
    )
    result = compare_with_truth(truth, worse)
    assert result.p95_mm[1] == pytest.approx(15 * MM_PER_HZ, rel=1e-4)
    assert result.centred_median_mm[1] == pytest.approx(5 * MM_PER_HZ, rel=1e-4)
    assert result.fa_psnr[1] == pytest.approx(20, abs=1e-3)


def test_sign_of_the_polarity_decides_the_jacobian(truth, perfect):
    """A field that rises along j stretches for ``j`` and squeezes for ``j-``."""
    ramp = np.broadcast_to(5.0 * np.arange(14)[:, None], truth.mask.shape)
    rising = replace(perfect, field=_image(ramp))
    assert compare_with_truth(truth, rising).min_jacobian == pytest.approx(1 - 5 * READOUT)
    other = replace(truth, pe_direction="j")
    assert compare_with_truth(other, rising).min_jacobian == pytest.approx(1 + 5 * READOUT)


def test_alignment_and_field_are_judged_together(truth, perfect):
    """A head believed 2 mm too far back, with the field that makes up for it, is no error.

    T1w point x is sought at x - t: t smaller by 2 mm along y means sought 2 mm further along +y.
    Polarity ``j-`` records a positive field at smaller y, so 2 mm more of it bring the point back.
    """
    moved = truth.dwi_to_t1w.copy()
    moved[1, 3] -= 2
    wrong = compare_with_truth(truth, replace(perfect, dwi_to_t1w=moved))
    assert wrong.t1w_median_mm == pytest.approx((30 * MM_PER_HZ + 2, 2), rel=1e-4)
    field = _image(truth.field.get_fdata() + 2 / MM_PER_HZ)
    both = compare_with_truth(truth, replace(perfect, dwi_to_t1w=moved, field=field))
    assert both.t1w_median_mm[1] == pytest.approx(0, abs=1e-4)
    assert both.median_mm[1] == pytest.approx(2, rel=1e-4)


def test_harm_and_folds_are_no_improvement(truth, perfect):
    wrong_sign = replace(perfect, field=_image(-truth.field.get_fdata()))
    assert not compare_with_truth(truth, wrong_sign).improved
    folded = truth.field.get_fdata().copy()
    folded[6, 7, 5] += 200
    assert not compare_with_truth(truth, replace(perfect, field=_image(folded))).improved


def test_images_on_another_grid_are_resampled(truth, perfect):
    flipped = nib.Nifti1Image(
        truth.fa.get_fdata()[::-1].astype(np.float32),
        AFFINE @ nib.affines.from_matvec(np.diag([-1, 1, 1]), [11, 0, 0]),
    )
    result = compare_with_truth(truth, replace(perfect, fa_after=flipped))
    assert result.fa_psnr[1] > 100


def test_table_states_units_and_ranges(truth, perfect):
    table = format_comparison(compare_with_truth(truth, perfect))
    assert "median (mm)" in table
    assert f"data range {truth.b0.get_fdata().max():.0f}" in table
    assert f"{30 * MM_PER_HZ:8.2f}    0.00" in table
