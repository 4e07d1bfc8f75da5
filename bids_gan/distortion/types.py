"""What goes into the field estimator and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Level:
    """One resolution: voxel size and knot distance in mm, blur in voxels, iterations.

    The rigid alignment is refined where `rigid` is true.
    """

    spacing: float
    knots: float
    blur: float
    iterations: int
    rigid: bool = True


@dataclass(frozen=True)
class EstimatorSettings:
    """Weights and resolutions of the estimator.

    Attributes
    ----------
    levels : tuple of Level
        From coarse to fine; where a field is expected beforehand, the last is enough.
    weight_fa, weight_b0 : float
        Weights of ``1 - local correlation`` of FA and of b=0.
    bending : float
        Weight of the mean squared second derivatives of the displacement (mm per mm²).
    magnitude : float
        Weight of the mean squared displacement (mm²) in the brain.
    prior : float
        Weight of the mean squared difference from what was expected beforehand, in units of its
        standard deviation.
    fold : float
        Weight of Jacobians below 0.3 or above 1/0.3.
    rigid : float
        Weight of ``|rotation / 2.9°|² + |translation / 3 mm|²``.
    rigid_iterations : int
        Iterations at the first level in which only the rigid alignment moves.
    refine_rigid : bool
        Whether the rigid alignment moves at all.
    """

    levels: tuple[Level, ...] = (Level(3.0, 14.0, 0.7, 40, rigid=False),)
    weight_fa: float = 1.0
    weight_b0: float = 1.0
    bending: float = 500.0
    magnitude: float = 1e-3
    prior: float = 0.15
    fold: float = 10.0
    rigid: float = 0.02
    rigid_iterations: int = 60
    refine_rigid: bool = False
    window_radius: int = 3
    rate_field: float = 0.5
    rate_rigid: float = 0.03


@dataclass(frozen=True)
class Measured:
    """Distorted images on the diffusion grid.

    Attributes
    ----------
    b0, fa : (I, J, K) array
        b=0 image without receive-coil shading, and FA.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    pe_direction : str
        BIDS ``PhaseEncodingDirection``.
    readout_time : float
        BIDS ``TotalReadoutTime`` in seconds.
    """

    b0: np.ndarray
    fa: np.ndarray
    affine: np.ndarray
    pe_direction: str
    readout_time: float


@dataclass(frozen=True)
class Guides:
    """Undistorted images on the T1w grid: synthetic FA, T2-like image, brain mask, affine."""

    fa: np.ndarray
    t2: np.ndarray
    mask: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class FieldPrior:
    """What is expected of the displacement before images are compared.

    Attributes
    ----------
    mm, sigma_mm : (I, J, K) array
        Displacement along the phase-encoding axis of the diffusion image, towards larger
        indices, and its standard deviation.
    affine : (4, 4) array
        Voxel to diffusion world (mm), any orientation.
    apart : (I, J, K, 3) array or None
        Misalignment: where the guides show the content of a place, relative to it, in world mm.
    """

    mm: np.ndarray
    sigma_mm: np.ndarray
    affine: np.ndarray
    apart: np.ndarray | None = None


@dataclass(frozen=True)
class FieldEstimate:
    """Result of `estimate_field`.

    Attributes
    ----------
    hz : (I, J, K) float32 array
        Field on the diffusion grid at corrected positions; fades out beyond the brain.
    displacement_mm : (I, J, K) float32 array
        The same as signed displacement along the phase-encoding axis, towards larger indices:
        where the signal of a corrected position was recorded.
    dwi_to_t1w : (4, 4) array
        Refined pull matrix from diffusion world to T1w world.
    mask : (I, J, K) bool array
        T1w brain mask on the diffusion grid.
    terms : dict of str to float
        Terms of the objective at the end.
    expected : FieldPrior or None
        The prior, if there was one, on the diffusion grid.
    """

    hz: np.ndarray
    displacement_mm: np.ndarray
    dwi_to_t1w: np.ndarray
    mask: np.ndarray
    terms: dict[str, float] = field(default_factory=dict)
    expected: FieldPrior | None = None

    @property
    def disagreement(self) -> float:
        """Objective without the rigid term, which depends on where the alignment started."""
        return sum(value for name, value in self.terms.items() if name != "rigid")
