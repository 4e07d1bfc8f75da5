"""Rigid registration between images of different contrast, by antspyx."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bids_gan.itk import read_affine, to_ants, write_affine


def mutual_information_rigid(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    *,
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
    start: np.ndarray | None = None,
    shrink: tuple[int, ...] = (4, 2, 1),
    smoothing: tuple[int, ...] = (2, 1, 0),
    iterations: tuple[int, ...] = (1000, 500, 200),
) -> np.ndarray:
    """Rigid pull matrix that maximises Mattes mutual information.

    Parameters
    ----------
    fixed, moving : (I, J, K) array
    fixed_affine, moving_affine : (4, 4) array
        Voxel to world (mm, RAS+).
    fixed_mask, moving_mask : array, optional
        Where the images are compared, at every resolution.
    start : (4, 4) array, optional
        Initial pull matrix; identity (what the headers say) when omitted.
    shrink, smoothing, iterations : tuple of int
        Shrink factor, Gaussian sigma in voxels and iterations of each resolution.

    Returns
    -------
    (4, 4) array
        From the world of `fixed` to the world of `moving`.
    """
    import ants

    with tempfile.TemporaryDirectory() as folder, _fixed_seed():
        initial = Path(folder) / "start.mat"
        write_affine(np.eye(4) if start is None else start, initial)
        result = ants.registration(
            to_ants(fixed, fixed_affine),
            to_ants(moving, moving_affine),
            type_of_transform="DenseRigid",
            initial_transform=str(initial),
            outprefix=str(Path(folder) / "out_"),
            mask=None if fixed_mask is None else to_ants(fixed_mask, fixed_affine),
            moving_mask=None if moving_mask is None else to_ants(moving_mask, moving_affine),
            mask_all_stages=True,
            aff_iterations=iterations,
            aff_shrink_factors=shrink,
            aff_smoothing_sigmas=smoothing,
        )
        return read_affine(Path(result["fwdtransforms"][0]))


@contextmanager
def _fixed_seed(seed: int = 1) -> Iterator[None]:
    """ANTs jitters its samples by the clock unless this variable is set."""
    before = os.environ.get("ANTS_RANDOM_SEED")
    os.environ["ANTS_RANDOM_SEED"] = str(seed)
    try:
        yield
    finally:
        os.environ.pop("ANTS_RANDOM_SEED")
        if before is not None:
            os.environ["ANTS_RANDOM_SEED"] = before
