"""Agreement of two images inside a mask; the data range is always said."""

from __future__ import annotations

import numpy as np


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(range² / MSE)``, inside the mask."""
    error = np.square(np.asarray(image, float)[mask] - np.asarray(truth, float)[mask]).mean()
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def mean_absolute_error(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference inside the mask, in units of the images."""
    return float(np.abs(np.asarray(image, float)[mask] - np.asarray(truth, float)[mask]).mean())


def pearson(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Correlation of the voxels inside the mask; NaN when one image is constant there."""
    a, b = np.asarray(image, float)[mask], np.asarray(truth, float)[mask]
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def linear_calibration(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image scaled and shifted to the least squared error inside the mask."""
    a, b = np.asarray(image, float)[mask], np.asarray(truth, float)[mask]
    design = np.stack([a, np.ones_like(a)], axis=1)
    gain, offset = np.linalg.lstsq(design, b, rcond=None)[0]
    return np.asarray(image, float) * gain + offset
