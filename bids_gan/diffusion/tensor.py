"""Diffusion tensor maps, fitted by dipy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_gan.diffusion.gradients import B0_MAX, Gradients, world_directions

_SIGNAL_FLOOR = 1e-3  # of the median b=0 signal: the logarithm needs positive numbers


@dataclass(frozen=True)
class TensorMaps:
    """Maps of one tensor fit; zero outside the mask.

    Attributes
    ----------
    fa : (I, J, K) float32 array
        Fractional anisotropy in [0, 1].
    s0 : (I, J, K) float32 array
        Fitted signal without diffusion weighting, in the units of the data.
    md : (I, J, K) float32 array
        Mean diffusivity in mm²/s.
    evec : (I, J, K, 3) float32 array
        Principal direction in world axes, unit length.
    """

    fa: np.ndarray
    s0: np.ndarray
    md: np.ndarray
    evec: np.ndarray

    @property
    def color_fa(self) -> np.ndarray:
        """(I, J, K, 3) float32 array: red left-right, green front-back, blue up-down."""
        return np.abs(self.evec) * self.fa[..., None]


def fit_tensor(
    data: np.ndarray, affine: np.ndarray, gradients: Gradients, mask: np.ndarray
) -> TensorMaps:
    """Fit a diffusion tensor by weighted least squares.

    Parameters
    ----------
    data : (I, J, K, N) array
        Zero, negative and non-finite values are raised to a small positive signal.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    gradients : Gradients
        N volumes, FSL convention.
    mask : (I, J, K) array
        Voxels to fit.

    Returns
    -------
    TensorMaps

    References
    ----------
    Chung S, Lu Y, Henry RG. Comparison of bootstrap approaches for estimation of uncertainties
    of DTI parameters. NeuroImage 33:531 (2006), as implemented in dipy.
    """
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    mask = np.asarray(mask) > 0
    signal = np.nan_to_num(np.asarray(data)[mask].astype(np.float64), posinf=0.0, neginf=0.0)
    reference = signal[:, gradients.is_b0].mean(axis=1)
    positive = reference[reference > 0]
    floor = _SIGNAL_FLOOR * (float(np.median(positive)) if len(positive) else 1.0)

    directions = np.where(gradients.is_b0[:, None], 0.0, world_directions(gradients, affine))
    lowest = max(B0_MAX, float(gradients.bvals[gradients.is_b0].max()))
    table = gradient_table(gradients.bvals, bvecs=directions, b0_threshold=lowest)
    model = TensorModel(table, fit_method="WLS", min_signal=floor, return_S0_hat=True)
    fit = model.fit(signal)

    def volume(values: np.ndarray, low: float = 0.0, high: float = np.inf) -> np.ndarray:
        out = np.zeros(mask.shape + values.shape[1:], np.float32)
        out[mask] = np.clip(np.nan_to_num(values, posinf=0.0, neginf=0.0), low, high)
        return out

    dead = reference <= floor  # nothing was measured there
    return TensorMaps(
        fa=volume(np.where(dead, 0.0, fit.fa), 0.0, 1.0),
        s0=volume(np.where(dead, 0.0, fit.S0_hat)),
        md=volume(np.where(dead, 0.0, fit.md)),
        evec=volume(np.where(dead[:, None], 0.0, fit.evecs[..., 0]), -1.0, 1.0),
    )
