"""Which values lie far from the others, by a rule that the values themselves cannot spoil."""

from __future__ import annotations

import numpy as np

#: robust standard deviations beyond which a value is flagged
THRESHOLD = 3.5
#: with fewer values than this nothing is flagged: they do not say what is usual
MIN_VALUES = 5
# of a normal distribution: standard deviation / MAD, and / mean absolute deviation
_PER_MAD, _PER_MEAN_DEVIATION = 1.4826, 1.2533


def robust_scores(values: np.ndarray) -> np.ndarray:
    """Signed distance of every value from the median, in robust standard deviations.

    Parameters
    ----------
    values : (N,) array
        Finite numbers.

    Returns
    -------
    (N,) float array
        Zero for everybody when there are fewer than `MIN_VALUES`, or when all are equal.

    Notes
    -----
    The robust standard deviation is 1.4826 MAD, the median absolute deviation from the median.
    Where more than half of the values are equal the MAD is zero and 1.2533 times the mean
    absolute deviation takes its place.

    References
    ----------
    Iglewicz B, Hoaglin DC. How to detect and handle outliers. ASQC Quality Press (1993).
    """
    values = np.asarray(values, float)
    if values.size < MIN_VALUES:
        return np.zeros(values.shape)
    deviation = values - np.median(values)
    spread = _PER_MAD * np.median(np.abs(deviation))
    spread = spread or _PER_MEAN_DEVIATION * np.abs(deviation).mean()
    return deviation / spread if spread else deviation
