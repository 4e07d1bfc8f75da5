"""Reading an image that somebody else wrote: what cannot be worked with is refused by name."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.errors import DataError
from bids_gan.geometry import voxel_sizes

#: codes of sform and qform that NIfTI-1 knows
_FORM_CODES = range(6)
#: no deflate stream (gzip) is shorter than what it holds by more than this
_DEFLATE = 1032
#: sform and qform may differ by a tilt, as after alignment to a template: cosine of 45 degrees
_COS_TILT = math.sqrt(0.5)
#: and so much in their voxel sizes, relative
_SIZE_TOLERANCE = 0.05
_CHUNK = 2**22
_GZIP = (".gz", ".mgz")
_OTHER_COMPRESSION = (".bz2", ".zst")
_NO_IMAGE = (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError)
_DAMAGED = (OSError, EOFError, ValueError, OverflowError, zlib.error)


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
    with _named(path):
        return check_volume(_open_checked(path), str(path))


def load_series(path: Path) -> nib.Nifti1Image:
    """Read a 4D image into memory, as float32.

    Raises
    ------
    DataError
        As :func:`load_volume`, and when it has other than four dimensions.
    """
    with _named(path):
        img = _open_checked(path)
        if img.ndim != 4 or min(img.shape) < 1:
            raise DataError(f"{path}: shape {img.shape}; a series of 3D volumes has 4 dimensions")
        check_affine(img.affine, str(path))
        data = img.get_fdata(dtype=np.float32)
    _check_finite(data, str(path))
    return nib.Nifti1Image(data, img.affine)


def open_image(path: Path) -> nib.Nifti1Image:
    """Open an image for its header; no data are read.

    Raises
    ------
    DataError
        When the file is missing, no image, or shorter than its header says.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with _named(path):
        img = nib.load(path)
        _check_length(img, path)
    return img


def _open_checked(path: Path) -> nib.Nifti1Image:
    img = open_image(path)
    if str(path).lower().endswith(_GZIP):
        _check_sum(path)
    if isinstance(img, nib.Nifti1Image):
        check_header(path, type(img.header))
    return img


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give the errors of nibabel and of the decompressors the name of the file."""
    try:
        yield
    except _NO_IMAGE as error:
        raise DataError(f"{path}: not an image that can be read ({error})") from None
    except _DAMAGED as error:
        raise DataError(f"{path}: damaged or cut short ({error})") from None


def _check_sum(path: Path) -> None:
    """Read a gzip file to its end, where its checksum stands; nibabel stops before."""
    with gzip.open(path) as stream:
        while stream.read(_CHUNK):
            pass


def _check_length(img: nib.Nifti1Image, path: Path) -> None:
    """Refuse a header that claims more than the file can hold, before memory is asked for."""
    stored, name = path.stat().st_size, path.name.lower()
    if not hasattr(img.dataobj, "offset") or name.endswith(_OTHER_COMPRESSION):
        return
    longest = stored * (_DEFLATE if name.endswith(_GZIP) else 1)
    claimed = math.prod(img.shape) * img.get_data_dtype().itemsize
    if min(img.shape, default=0) < 0 or claimed > longest:
        raise DataError(
            f"{path}: damaged or cut short (the header claims {claimed} bytes of voxels, shape "
            f"{img.shape}; the file has {stored} bytes)"
        )


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
    if not np.all(np.isfinite(sizes)) or sizes.min() < 1e-3:
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
    if all(codes):
        _check_agreement(path, header.get_sform(), header.get_qform())


def _check_agreement(path: Path, sform: np.ndarray, qform: np.ndarray) -> None:
    """Refuse two orientations (4, 4) of which one must be wrong; a tilt between them is usual."""
    sizes = np.array([voxel_sizes(sform), voxel_sizes(qform)])
    if not sizes.all():
        return  # the affine that is used is looked at when the image has been read
    cosines = ((sform[:3, :3] / sizes[0]) * (qform[:3, :3] / sizes[1])).sum(axis=0)
    if cosines.min() > _COS_TILT and np.abs(sizes[0] / sizes[1] - 1).max() < _SIZE_TOLERANCE:
        return
    says = (
        f"{name} says {_axes(affine)}, voxels of {size.round(3).tolist()} mm"
        for name, affine, size in zip(("sform", "qform"), (sform, qform), sizes, strict=True)
    )
    raise DataError(
        f"{path}: sform and qform disagree: {'; '.join(says)}. The sform would be used, and "
        "nobody knows whether it is right: find out which one is, then copy it over the other, "
        "or set the code of the wrong one to 0 (with nibabel: set_sform, set_qform)"
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
    check_affine(img.affine, name)
    data = img.get_fdata(dtype=np.float32)
    _check_finite(data, name)
    if data.max() <= data.min():
        raise DataError(f"{name}: all voxels have the value {data.flat[0]:g}; the image is empty")
    return nib.Nifti1Image(data, img.affine)


def check_affine(affine: np.ndarray, name: str) -> None:
    """Refuse an affine (4, 4) whose voxels have no extent.

    Raises
    ------
    DataError
    """
    zooms = voxel_sizes(affine)
    if not np.all(np.isfinite(affine)) or zooms.min() < 1e-3:
        raise DataError(f"{name}: voxel sizes {zooms.round(4).tolist()} mm are not possible")
    if abs(np.linalg.det(affine[:3, :3])) < 1e-3 * zooms.prod():
        raise DataError(f"{name}: the axes of its affine do not span three dimensions")


def _check_finite(data: np.ndarray, name: str) -> None:
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise DataError(
            f"{name}: {bad} of {data.size} voxels are NaN or infinite; "
            "set them to zero if they lie outside the head, else export the image anew"
        )


def _axes(affine: np.ndarray) -> str:
    return "".join(code or "?" for code in nib.aff2axcodes(affine))
