"""Measures of agreement against values known by formula or from another implementation."""

import numpy as np
import pytest
from scipy import ndimage

from bids_gan.evaluate import metrics

SHAPE = (24, 26, 28)
EVERYWHERE = np.ones(SHAPE, bool)


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=SHAPE)


@pytest.fixture
def ball():
    return ((np.indices(SHAPE) - 12) ** 2).sum(0) < 100


def test_psnr_of_a_known_error(noise):
    assert metrics.psnr(noise + 0.1, noise, EVERYWHERE, 1.0) == pytest.approx(20)
    assert metrics.psnr(noise, noise, EVERYWHERE, 1.0) == np.inf


def test_calibration_undoes_gain_and_offset(noise, ball):
    np.testing.assert_allclose(metrics.linear_calibration(3 * noise - 2, noise, ball), noise)


def test_ssim_is_one_at_identity_and_what_the_formula_says_of_constants(noise, ball):
    assert metrics.ssim(noise, noise, ball, 1.0) == pytest.approx(1)
    a, b, c1 = 0.3, 0.7, 0.01**2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    found = metrics.ssim(np.full(SHAPE, a), np.full(SHAPE, b), ball, 1.0)
    assert found == pytest.approx(expected, rel=1e-6)


def test_ssim_agrees_with_scikit_image_where_its_window_fits(noise):
    skimage = pytest.importorskip("skimage.metrics")
    truth = ndimage.gaussian_filter(noise, 1) + 0.5
    image = truth + 0.1 * np.random.default_rng(1).normal(size=SHAPE)
    _, reference = skimage.structural_similarity(
        image, truth, data_range=2.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    # both images may be anything outside one window: there the mask is the whole of it
    middle = tuple(n // 2 for n in SHAPE)
    window = tuple(slice(n - 5, n + 6) for n in middle)
    found = metrics.ssim_map(image, truth, EVERYWHERE, 2.0)
    np.testing.assert_allclose(found[window], reference[window], rtol=1e-6)


def test_ssim_by_brute_force_in_a_mask(noise, ball):
    """Every window summed voxel by voxel, weights only inside the mask."""
    image, truth = noise[:9, :9, :9], noise[9:18, :9, :9] + 0.4
    mask = ball[8:17, 8:17, 8:17].copy()
    mask[2:5, 1, 3] = False
    axis = np.arange(9)
    total = []
    for voxel in np.argwhere(mask):
        w = mask.astype(float)
        for n, centre in enumerate(voxel):
            d = axis - centre
            g = np.exp(-(d**2) / (2 * 1.5**2)) * (np.abs(d) <= 5)
            w = w * g.reshape([-1 if m == n else 1 for m in range(3)])
        w /= w.sum()
        ma, mb = (w * image).sum(), (w * truth).sum()
        va, vb = (w * (image - ma) ** 2).sum(), (w * (truth - mb) ** 2).sum()
        cov = (w * (image - ma) * (truth - mb)).sum()
        c1, c2 = (0.01 * 3) ** 2, (0.03 * 3) ** 2
        total.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert metrics.ssim(image, truth, mask, 3.0) == pytest.approx(np.mean(total), rel=1e-6)


def test_nothing_outside_the_mask_is_seen(noise, ball):
    image = ndimage.gaussian_filter(noise, 0.7)
    spoilt = np.where(ball, image, 1e3)
    for measure in (
        lambda x: metrics.ssim(x, noise, ball, 1.0),
        lambda x: metrics.sharpness(x, noise, ball),
        lambda x: metrics.psnr(x, noise, ball, 1.0),
        lambda x: metrics.pearson(x, noise, ball),
    ):
        assert measure(spoilt) == pytest.approx(measure(image), rel=1e-9)


def test_sharpness_of_a_blurred_image_follows_the_transfer_function():
    """A Gaussian multiplies power by exp(-4 pi² s² f²); white noise has equal power everywhere."""
    shape, sigma = (64, 64, 64), 0.8
    truth = np.random.default_rng(3).normal(size=shape)
    everywhere = np.ones(shape, bool)
    image = 5 * ndimage.gaussian_filter(truth, sigma, mode="wrap", truncate=6) + 7
    f = np.sqrt((np.array(np.meshgrid(*[np.fft.fftfreq(64)] * 3)) ** 2).sum(0))
    transfer = np.exp(-4 * np.pi**2 * sigma**2 * f**2)
    band = (f >= 0.25) & (f < 0.5)
    expected = (transfer[band].sum() / transfer.sum()) / (band.sum() / f.size)
    assert metrics.sharpness(image, truth, everywhere) == pytest.approx(expected, rel=0.05)
    assert metrics.sharpness(truth, truth, everywhere) == pytest.approx(1)
    assert np.isnan(metrics.sharpness(np.ones(shape), truth, everywhere))


def test_errors_by_label(noise, ball):
    labels = np.zeros(SHAPE, int)
    labels[:12], labels[12:] = 1, 2
    image = noise + np.where(labels == 1, 0.1, -0.3)
    assert metrics.error_by_label(image, noise, ball, labels) == pytest.approx({1: 0.1, 2: 0.3})


def test_bootstrap_interval():
    values = list(np.random.default_rng(0).normal(10, 2, 50))
    mean, low, high = metrics.bootstrap_mean(values)
    assert mean == pytest.approx(np.mean(values))
    # for so many people the normal approximation of the interval holds
    half = 1.96 * np.std(values) / np.sqrt(50)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1)
    assert metrics.bootstrap_mean(values) == (mean, low, high)
    assert metrics.bootstrap_mean([3.0, 3.0, float("nan")]) == (3, 3, 3)
    alone = metrics.bootstrap_mean([4.0])
    assert alone[0] == 4
    assert np.isnan(alone[1:]).all()
