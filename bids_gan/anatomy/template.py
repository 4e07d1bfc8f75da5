"""MNI152 (2009a, symmetric) T1w brain, as nilearn carries it, and registration to it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.geometry import box_grid, resample
from bids_gan.itk import read_affine, to_ants

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


def template_t1w() -> nib.Nifti1Image:
    """Skull-stripped MNI152 T1w at 1 mm, zero outside the brain."""
    return _load("t1")


def template_white() -> nib.Nifti1Image:
    """White matter of the same template, 0 to 255."""
    return _load("wm")


@cache
def _load(what: str) -> nib.Nifti1Image:
    import nilearn.datasets

    return nib.load(Path(nilearn.datasets.__file__).parent / "data" / _FILE.format(what))


def affine_to_template(brain: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Affine that takes world points of a person to the template.

    Parameters
    ----------
    brain : (I, J, K) array
        T1w without bias field.
    mask : (I, J, K) bool array
        Brain mask; the registration sees nothing else.
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (4, 4) array
        Person's world to MNI world, both RAS+ mm.

    Notes
    -----
    Mattes mutual information at 2 mm, started from the centres of mass, so the position in the
    scanner does not matter.
    """
    import ants

    shape, grid = box_grid(mask, affine, 2.0, 6.0)
    moving = to_ants(resample(np.where(mask, brain, 0), affine, shape, grid), grid)
    template = template_t1w()
    fixed_shape, fixed_grid = box_grid(np.asarray(template.dataobj) > 0, template.affine, 2.0, 6.0)
    fixed = to_ants(
        resample(np.asarray(template.dataobj), template.affine, fixed_shape, fixed_grid),
        fixed_grid,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = ants.registration(
            fixed,
            moving,
            type_of_transform="Affine",
            outprefix=str(Path(folder) / "to_template_"),
            aff_random_sampling_rate=0.5,
        )
        return np.linalg.inv(read_affine(Path(result["fwdtransforms"][0])))
