"""Cubic B-spline displacement on a box, with its derivatives and exact bending energy."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import interpolate

_DEGREE = 3
_QUADRATURE_PER_KNOT = 8


def knot_count(length: float, spacing: float) -> int:
    """Number of coefficients that cover `length` mm with knots about `spacing` mm apart."""
    return max(1, round(length / spacing)) + _DEGREE


def basis(positions: np.ndarray, length: float, n_coefficients: int, order: int = 0) -> np.ndarray:
    """Values (or derivatives) of uniform cubic B-splines on ``[0, length]``.

    Parameters
    ----------
    positions : (N,) array
        Points in mm; those outside are moved to the nearer end.
    length : float
        Length of the interval in mm.
    n_coefficients : int
    order : int
        Derivative, 0 to 2.

    Returns
    -------
    (N, n_coefficients) array
    """
    step = length / (n_coefficients - _DEGREE)
    knots = step * (np.arange(n_coefficients + _DEGREE + 1) - _DEGREE)
    spline = interpolate.BSpline(knots, np.eye(n_coefficients), _DEGREE)
    return spline(np.clip(positions, 0, length), nu=order)


class SplineBox:
    """Tensor-product cubic B-spline on a box of given edge lengths.

    Parameters
    ----------
    lengths : (3,) sequence of float
        Edges of the box in mm.
    spacing : float
        Distance of the knots in mm, about.
    """

    def __init__(self, lengths, spacing: float):
        self.lengths = tuple(float(edge) for edge in lengths)
        self.shape = tuple(knot_count(edge, spacing) for edge in self.lengths)

    def bases(self, positions, derivative: tuple[int, int, int] = (0, 0, 0)) -> list[np.ndarray]:
        """Three basis matrices for a grid of three 1D `positions` (mm from the box's corner)."""
        return [
            basis(p, edge, n, order)
            for p, edge, n, order in zip(
                positions, self.lengths, self.shape, derivative, strict=True
            )
        ]

    def evaluate(
        self, coefficients: np.ndarray, positions, derivative: tuple[int, int, int] = (0, 0, 0)
    ) -> np.ndarray:
        """Values on the grid spanned by three 1D `positions`."""
        return np.einsum(
            "abc,xa,yb,zc->xyz", coefficients, *self.bases(positions, derivative), optimize=True
        )

    def fit(self, values: np.ndarray, positions) -> np.ndarray:
        """Coefficients closest to `values` on the grid spanned by three 1D `positions`."""
        inverses = [np.linalg.pinv(b) for b in self.bases(positions)]
        return np.einsum("xyz,ax,by,cz->abc", values, *inverses, optimize=True)

    def bending_matrices(self) -> list[tuple[float, list[np.ndarray]]]:
        """Separable form of the mean squared second derivatives over the box.

        Returns
        -------
        list of (weight, [Gx, Gy, Gz])
            ``mean ‖∇²f‖² = Σ weight · ⟨c, (Gx ⊗ Gy ⊗ Gz) c⟩``, in (value per mm²)².
        """
        gram = [
            [_gram(edge, n, order) for order in range(3)]
            for edge, n in zip(self.lengths, self.shape, strict=True)
        ]
        terms = []
        for first, second in product(range(3), repeat=2):
            orders = [(axis == first) + (axis == second) for axis in range(3)]
            if first <= second:
                weight = 1.0 if first == second else 2.0
                terms.append((weight, [gram[axis][orders[axis]] for axis in range(3)]))
        return terms


def _gram(length: float, n_coefficients: int, order: int) -> np.ndarray:
    """Mean over the interval of products of basis functions (midpoint rule)."""
    n = _QUADRATURE_PER_KNOT * (n_coefficients - _DEGREE)
    values = basis((np.arange(n) + 0.5) * length / n, length, n_coefficients, order)
    return values.T @ values / n
