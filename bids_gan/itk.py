"""The bridge to antspyx: images, affine transforms, and the LPS convention that ITK keeps."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

#: ITK counts world coordinates left, posterior, superior; NIfTI right, anterior, superior.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_ants(data: np.ndarray, affine: np.ndarray):
    """Array (I, J, K) and voxel-to-world affine (RAS+ mm) as an ants image."""
    import ants

    image = nib.Nifti1Image(np.asarray(data, np.float32), affine)
    image.header.set_xyzt_units("mm", "sec")
    return ants.from_nibabel_nifti(image)


def read_affine(path: Path) -> np.ndarray:
    """RAS+ pull matrix (4, 4) of an ITK affine file, ``A (x - c) + t + c`` in LPS."""
    import ants

    transform = ants.read_transform(str(path))
    lps, centre = np.eye(4), np.asarray(transform.fixed_parameters)[:3]
    lps[:3, :3] = np.reshape(transform.parameters[:9], (3, 3))
    lps[:3, 3] = np.asarray(transform.parameters[9:12]) + centre - lps[:3, :3] @ centre
    return LPS @ lps @ LPS


def write_affine(matrix: np.ndarray, path: Path) -> None:
    """Write a RAS+ pull matrix (4, 4) as an ITK affine file (``.mat`` or ``.txt``)."""
    import ants

    lps = LPS @ matrix @ LPS
    transform = ants.create_ants_transform(
        "AffineTransform", matrix=lps[:3, :3], translation=lps[:3, 3], center=np.zeros(3)
    )
    ants.write_transform(transform, str(path))


def bias_field(image: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Multiplicative bias field of an image by N4.

    Parameters
    ----------
    image, mask : (I, J, K) array
        The mask says where the field is estimated.
    affine : (4, 4) array

    Returns
    -------
    (I, J, K) array

    References
    ----------
    Tustison et al. 2010, https://doi.org/10.1109/TMI.2010.2046908
    """
    import ants

    return ants.n4_bias_field_correction(
        to_ants(np.maximum(image, 1e-3), affine),
        mask=to_ants(mask, affine),
        shrink_factor=2,
        convergence={"iters": [40, 40, 30], "tol": 1e-5},
        return_bias_field=True,
    ).numpy()
