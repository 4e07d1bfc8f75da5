"""Agreement of two images inside a mask; the data range is always said."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: window of the SSIM, voxels: 11³ of a Gaussian of standard deviation 1.5
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
#: band of the sharpness, cycles a voxel: the upper half of what the grid can hold along an axis
UPPER_BAND = (0.25, 0.5)
#: width of the soft edge within the mask before the Fourier transform, voxels
SOFT_EDGE = 4


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(range² / MSE)``, inside the mask."""
    error = np.square(np.asarray(image, float)[mask] - np.asarray(truth, float)[mask]).mean()
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def mean_absolute_error(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference inside the mask, in units of the images; NaN without voxels."""
    if not mask.any():
        return float("nan")
    return float(np.abs(np.asarray(image, float)[mask] - np.asarray(truth, float)[mask]).mean())


def pearson(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Correlation of the voxels inside the mask; NaN when one image is constant there."""
    a, b = np.asarray(image, float)[mask], np.asarray(truth, float)[mask]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def linear_calibration(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image scaled and shifted to the least squared error inside the mask."""
    a, b = np.asarray(image, float)[mask], np.asarray(truth, float)[mask]
    design = np.stack([a, np.ones_like(a)], axis=1)
    gain, offset = np.linalg.lstsq(design, b, rcond=None)[0]
    return np.asarray(image, float) * gain + offset


def ssim(image: np.ndarray, truth: np.ndarray, mask: np.ndarray, data_range: float) -> float:
    """Mean of :func:`ssim_map` over the mask."""
    return float(ssim_map(image, truth, mask, data_range)[mask].mean())


def ssim_map(
    image: np.ndarray, truth: np.ndarray, mask: np.ndarray, data_range: float
) -> np.ndarray:
    """Structural similarity in 3D.

    Parameters
    ----------
    image, truth : (I, J, K) array
    mask : (I, J, K) bool array
        Nothing outside it is seen: each window is a weighted mean over its voxels in the mask.
    data_range : float

    Returns
    -------
    (I, J, K) array
        Of meaning inside the mask only.

    Notes
    -----
    Gaussian window of 11³ voxels, standard deviation 1.5, population covariance, K1 = 0.01 and
    K2 = 0.03 (Wang et al. 2004, doi:10.1109/TIP.2003.819861).
    """
    inside = np.asarray(mask, float)
    weight = np.maximum(_window(inside), 1e-12)

    def local(values: np.ndarray) -> np.ndarray:
        return _window(values * inside) / weight

    # one shift for both changes no variance and keeps their differences of squares exact
    shift = float(np.asarray(truth, float)[mask].mean())
    a = np.where(mask, np.asarray(image, float) - shift, 0)
    b = np.where(mask, np.asarray(truth, float) - shift, 0)
    mean_a, mean_b = local(a), local(b)
    variance_a, variance_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = mean_a + shift, mean_b + shift
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return luminance * structure


def _window(values: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(values, SSIM_SIGMA, radius=SSIM_RADIUS, mode="constant")


def sharpness(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Fine detail of an image relative to that of the truth.

    Returns
    -------
    float
        Share of the image's spectral power in the upper band over the truth's share: 1 when both
        are equally sharp, below 1 for a smoother image. Gain and offset do not change it; the
        truth's noise counts as detail. NaN for a constant image.

    Notes
    -----
    Mean removed and multiplied by the mask with a soft edge, so that the border of the mask adds
    little to the upper band: 0.25 to 0.5 cycles a voxel, radially, direction by direction.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    edge = 0.5 - 0.5 * np.cos(np.pi * np.clip(depth / SOFT_EDGE, 0, 1))
    shares = [_upper_share(np.asarray(x, float), mask, edge) for x in (image, truth)]
    return shares[0] / shares[1] if all(np.isfinite(shares)) and shares[1] > 0 else float("nan")


def _upper_share(image: np.ndarray, mask: np.ndarray, edge: np.ndarray) -> float:
    if np.ptp(image[mask]) == 0:
        return float("nan")
    mean = (image * edge)[mask].sum() / edge[mask].sum()
    power = np.abs(np.fft.fftn(np.where(mask, image - mean, 0) * edge)) ** 2
    frequencies = np.meshgrid(*map(np.fft.fftfreq, image.shape), indexing="ij")
    radius = np.sqrt(sum(f**2 for f in frequencies))
    band = (radius >= UPPER_BAND[0]) & (radius < UPPER_BAND[1])
    return float(power[band].sum() / power.sum())


def error_by_label(
    image: np.ndarray, truth: np.ndarray, mask: np.ndarray, labels: np.ndarray
) -> dict[int, float]:
    """Mean absolute error in each label above zero that the mask holds."""
    found = np.unique(labels[mask & (labels > 0)])
    return {int(n): mean_absolute_error(image, truth, mask & (labels == n)) for n in found}


def bootstrap_mean(
    values: list[float], *, level: float = 0.95, resamples: int = 5000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean over people, and the ends of its percentile bootstrap interval.

    Parameters
    ----------
    values : list of float
        One a person; NaN are left out.
    level : float
    resamples : int
    seed : int

    Returns
    -------
    mean, low, high : float
        The ends are NaN for fewer than two people, who say nothing of their spread.
    """
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return (float(x[0]) if len(x) else float("nan")), float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(len(x), size=(resamples, len(x)))
    low, high = np.quantile(x[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(x.mean()), float(low), float(high)
