"""Reading an image that somebody else wrote: what cannot be worked with is refused by name."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.errors import DataError
from bids_gan.geometry import voxel_sizes

#: codes of sform and qform that NIfTI-1 knows
_FORM_CODES = range(6)


def load_volume(path: Path) -> nib.Nifti1Image:
    """Read a 3D image.

    Parameters
    ----------
    path : Path
        Any format of nibabel's; NIfTI headers are looked at as they are stored.

    Raises
    ------
    DataError
        When the file is missing or unreadable, its header states no orientation or voxel size, or
        its data cannot be worked with (:func:`check_volume`).
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        img = nib.load(path)
        if isinstance(img, nib.Nifti1Image):
            check_header(path, type(img.header))
        return check_volume(img, str(path))
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path}: not an image that can be read ({error})") from None
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: damaged or cut short ({error})") from None


def check_header(path: Path, kind: type) -> None:
    """Look at the stored header; what nibabel returns has been mended silently.

    Parameters
    ----------
    path : Path
    kind : type
        Class of the header: ``nib.Nifti1Header`` or one derived from it.

    Raises
    ------
    DataError
        When voxel sizes or orientation are not stated.
    """
    with nib.openers.ImageOpener(path) as stream:
        header = kind.from_fileobj(stream, check=False)
    sizes = np.asarray(header["pixdim"][1:4], float)
    if not np.all(np.isfinite(sizes)) or np.abs(sizes).min() < 1e-3:
        raise DataError(
            f"{path}: the header states voxel sizes of {sizes.tolist()} mm (pixdim); "
            "convert the scanner's files anew, or mend the header"
        )
    codes = [int(header["sform_code"]), int(header["qform_code"])]
    if not any(codes) or any(code not in _FORM_CODES for code in codes):
        raise DataError(
            f"{path}: sform_code and qform_code are {codes[0]} and {codes[1]}, so left and right "
            "are not known; one of them must be 1 to 5: convert the scanner's files anew"
        )


def check_volume(img: nib.Nifti1Image, name: str = "the T1w") -> nib.Nifti1Image:
    """Return a 3D image that can be worked with.

    Parameters
    ----------
    img : image
        3D, or 4D with one volume.
    name : str
        Of the image, for error messages.

    Raises
    ------
    DataError
        When it is not 3D, has no extent, or holds NaN or nothing but one value.
    """
    img = nib.funcs.squeeze_image(img)
    if img.ndim != 3 or min(img.shape) < 16:
        raise DataError(f"{name}: shape {img.shape}; a 3D volume of 16 or more slices is needed")
    zooms = voxel_sizes(img.affine)
    if not np.all(np.isfinite(img.affine)) or zooms.min() < 1e-3:
        raise DataError(f"{name}: voxel sizes {zooms.round(4).tolist()} mm are not possible")
    if abs(np.linalg.det(img.affine[:3, :3])) < 1e-3 * zooms.prod():
        raise DataError(f"{name}: the axes of its affine do not span three dimensions")
    data = img.get_fdata(dtype=np.float32)
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise DataError(
            f"{name}: {bad} of {data.size} voxels are NaN or infinite; "
            "set them to zero if they lie outside the head, else export the image anew"
        )
    if data.max() <= data.min():
        raise DataError(f"{name}: all voxels have the value {data.flat[0]:g}; the image is empty")
    return nib.Nifti1Image(data, img.affine)
