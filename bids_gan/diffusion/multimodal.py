"""Rigid registration between images of different contrast, by antspyx."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def mutual_information_rigid(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    *,
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
    start: np.ndarray | None = None,
    shrink: tuple[int, ...] = (2, 1),
    smoothing: tuple[int, ...] = (1, 0),
    iterations: tuple[int, ...] = (200, 100),
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

    with tempfile.TemporaryDirectory() as folder:
        initial = Path(folder) / "start.mat"
        _write_rigid(np.eye(4) if start is None else start, initial)
        result = ants.registration(
            _ants_image(fixed, fixed_affine),
            _ants_image(moving, moving_affine),
            type_of_transform="DenseRigid",
            initial_transform=str(initial),
            outprefix=str(Path(folder) / "out_"),
            mask=None if fixed_mask is None else _ants_image(fixed_mask, fixed_affine),
            moving_mask=None if moving_mask is None else _ants_image(moving_mask, moving_affine),
            mask_all_stages=True,
            aff_iterations=iterations,
            aff_shrink_factors=shrink,
            aff_smoothing_sigmas=smoothing,
        )
        return _read_affine(Path(result["fwdtransforms"][0]))


def _ants_image(data: np.ndarray, affine: np.ndarray):
    import ants

    return ants.from_nibabel_nifti(nib.Nifti1Image(np.asarray(data, np.float32), affine))


def _write_rigid(matrix: np.ndarray, path: Path) -> None:
    import ants

    lps = _LPS @ matrix @ _LPS
    transform = ants.create_ants_transform(
        "AffineTransform", matrix=lps[:3, :3], translation=lps[:3, 3], center=np.zeros(3)
    )
    ants.write_transform(transform, str(path))


def _read_affine(path: Path) -> np.ndarray:
    """RAS+ matrix of an ITK affine file: ``A (x - c) + t + c`` in LPS."""
    import ants

    transform = ants.read_transform(str(path))
    lps, centre = np.eye(4), np.asarray(transform.fixed_parameters)[:3]
    lps[:3, :3] = np.reshape(transform.parameters[:9], (3, 3))
    lps[:3, 3] = np.asarray(transform.parameters[9:12]) + centre - lps[:3, :3] @ centre
    return _LPS @ lps @ _LPS
