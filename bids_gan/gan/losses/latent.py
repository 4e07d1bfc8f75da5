"""Latent codes held near a standard normal law (L15 of Yi et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from bids_gan.gan.losses.precision import full_precision


@full_precision
def kl_divergence(mean: Tensor, log_variance: Tensor, free_bits: float = 0.0) -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1): sum over the code, mean over the batch.

    Parameters
    ----------
    mean, log_variance : (N, ...) tensor
        Of a code of any shape.
    free_bits : float
        Divergence, in nats and as the batch's mean, that each number of the code may have for
        nothing (Kingma et al. 2016, https://arxiv.org/abs/1606.04934), against codes that say
        nothing.

    Notes
    -----
    ``-½ Σ (1 + log σ² - μ² - σ²)`` (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).
    Zero for mean 0 and variance 1, or ``free_bits`` times the size of the code if that is more.
    """
    each = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
    return each.mean(0).clamp_min(free_bits).sum()


@full_precision
def code_energy(mean: Tensor) -> Tensor:
    """Mean square of a code: the divergence for variance 1 up to a factor, as UNIT has it.

    Liu et al. 2017, https://arxiv.org/abs/1703.00848.
    """
    return mean.square().mean()
