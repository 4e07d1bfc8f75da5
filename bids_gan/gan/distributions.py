"""How far what a generator makes lies from what there is, as distributions."""

from __future__ import annotations

import torch
from torch import Tensor


def maximum_mean_discrepancy(a: Tensor, b: Tensor, bandwidth: float | None = None) -> Tensor:
    """Squared maximum mean discrepancy of two samples under a Gaussian kernel.

    Parameters
    ----------
    a : (N, ...) tensor
    b : (M, ...) tensor
        Of the same size but for the number.
    bandwidth : float, optional
        Standard deviation of the kernel; the median distance of all pairs when omitted.

    Returns
    -------
    () float64 tensor
        From 0, for the same sample, to 2.

    Notes
    -----
    ``mean k(a, a') + mean k(b, b') - 2 mean k(a, b)`` with ``k = exp(-|x - y|² / 2σ²)`` over all
    pairs, an image with itself included (Gretton et al. 2012,
    https://jmlr.org/papers/v13/gretton12a.html). So two samples of one distribution do not give
    zero, but about ``(1 / N + 1 / M) (1 - mean k)``: compare with two samples of real images.
    """
    both = torch.cat([a, b]).flatten(1).double()
    distances = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")
    if bandwidth is None:
        pairs = torch.ones_like(distances, dtype=torch.bool).triu(1)
        bandwidth = float(distances[pairs].median().clamp_min(1e-12))
    kernel = torch.exp(-0.5 * (distances / bandwidth).square())
    sign = torch.cat([both.new_full((len(a),), 1 / len(a)), both.new_full((len(b),), -1 / len(b))])
    return (sign @ kernel @ sign).clamp_min(0)
