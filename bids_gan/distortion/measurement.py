"""A field as it was measured: read, unwrapped, without noise, continued beyond the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.segment import largest_component
from bids_gan.distortion.local_linear import local_linear
from bids_gan.distortion.phase import phase_to_hz, to_radians
from bids_gan.errors import DataError
from bids_gan.geometry import resample, voxel_sizes
from bids_gan.images import load_volume

#: BIDS ``Units`` -> Hz; a proton turns at 42.577 MHz in one tesla
HZ = {"Hz": 1.0, "rad/s": 1 / (2 * np.pi), "T": 42.577478518e6}
#: below this share of the brain's median magnitude, phase is noise
_SIGNAL = 0.15
#: a voxel that differs from the median of its neighbours by more than this many Hz, and by more
#: robust standard deviations than that, is left out
_OUTLIER_HZ, _OUTLIER_SIGMA = 20.0, 8.0
#: standard deviations (mm) of the means that fill the space around the brain, and the weight, of
#: 1 in the brain, at which two of them count alike
_BLURS_MM, _HALF_TRUST = (24.0, 12.0, 6.0), 0.02
#: of the planes that are fitted where the field is known
_PLANE_MM = 2.5
#: how far beyond the measured volume the field is continued, mm
_MARGIN_MM = 40.0


@dataclass(frozen=True)
class Measurement:
    """A field as the scanner measured it.

    Attributes
    ----------
    values : (I, J, K) array
        Wrapped phase in radians that evolved in `delta_te`, or Hz where there is none.
    magnitude : (I, J, K) array
        Image of the head.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    delta_te : float or None
        Second minus first echo time in seconds.
    name : str
        For error messages.
    """

    values: np.ndarray
    magnitude: np.ndarray
    affine: np.ndarray
    delta_te: float | None
    name: str = "the measured field map"


def load_measurement(
    paths: Sequence[Path],
    magnitude: Path,
    echo_times: tuple[float, float] | None,
    units: str | None,
) -> Measurement:
    """Read a measured field.

    Parameters
    ----------
    paths : sequence of Path
        A phase difference, the phases of two echoes, or a map of the field.
    magnitude : Path
        Image of the head on the same grid.
    echo_times : (float, float) or None
        Seconds; None for a map of the field.
    units : str or None
        Key of :data:`HZ`, for a map of the field.

    Raises
    ------
    DataError
        When an image cannot be read, is on another grid, or holds no phase.
    """
    head, *images = (load_volume(path) for path in (magnitude, *paths))
    for path, image in zip(paths, images, strict=True):
        if image.shape != head.shape or not np.allclose(image.affine, head.affine, atol=1e-3):
            raise DataError(
                f"{path}: shape {image.shape} or position differs from {magnitude} "
                f"({head.shape}); a field map and its magnitude must share one grid"
            )
    values = [np.asarray(image.dataobj, float) for image in images]
    known = {
        "magnitude": np.asarray(head.dataobj, np.float32),
        "affine": head.affine,
        "name": str(paths[0]),
    }
    if echo_times is None:
        return Measurement(values[0] * HZ[units], delta_te=None, **known)
    phases = [to_radians(v, str(path)) for v, path in zip(values, paths, strict=True)]
    difference = phases[-1] - phases[0] if len(phases) == 2 else phases[0]
    wrapped = np.angle(np.exp(1j * difference))
    return Measurement(wrapped, delta_te=echo_times[1] - echo_times[0], **known)


@dataclass(frozen=True)
class Field:
    """A field without noise and gaps.

    Attributes
    ----------
    hz : (I, J, K) array
        Fades out beyond what was measured.
    known : (I, J, K) bool array
        Where it was measured.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    """

    hz: np.ndarray
    known: np.ndarray
    affine: np.ndarray

    def on_grid(self, image: nib.Nifti1Image, pull: np.ndarray) -> np.ndarray:
        """Field (I', J', K') on another grid, through a pull matrix from its world."""
        grid = (image.shape[:3], image.affine)
        return resample(self.hz, self.affine, *grid, target_to_source=pull)

    def known_on_grid(self, image: nib.Nifti1Image, pull: np.ndarray) -> np.ndarray:
        """Where (I', J', K') it was measured, on another grid."""
        grid = (image.shape[:3], image.affine)
        share = resample(self.known.astype(np.float32), self.affine, *grid, target_to_source=pull)
        return share > 0.5


def clean_field(measurement: Measurement, brain: np.ndarray) -> Field:
    """Unwrap, leave out what is noise, smooth, and continue beyond the brain.

    Parameters
    ----------
    measurement : Measurement
    brain : (I, J, K) bool array
        On its grid. Fat resonates elsewhere: nothing outside the brain is used.

    Raises
    ------
    DataError
        When the brain is not in the measured volume, or has no signal there.
    """
    if not brain.any() or not np.median(measurement.magnitude[brain]) > 0:
        raise DataError(
            f"{measurement.name}: its magnitude shows nothing where the T1w has the brain; check "
            "its header, or do without it: --sdc reverse-pe or --sdc synth"
        )
    signal = measurement.magnitude / np.median(measurement.magnitude[brain])
    known = largest_component(brain & (signal > _SIGNAL))
    if measurement.delta_te is None:
        hz = np.where(known, measurement.values, 0.0)
    else:
        hz = phase_to_hz(measurement.values, known, measurement.delta_te)
    margin = np.ceil(_MARGIN_MM / voxel_sizes(measurement.affine)).astype(int)
    around = [(n, n) for n in margin]
    # the noise of a phase is inverse to the magnitude
    trust = np.pad(np.where(known, signal.clip(0, 1) ** 2, 0.0), around)
    hz, known = np.pad(hz, around), np.pad(known, around)
    affine = measurement.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    filled = np.where(known, hz, smooth_field(hz, trust, affine))
    away = np.abs(filled - ndimage.median_filter(filled, 3))
    usual = 1.4826 * np.median(away[known])
    near = away <= max(_OUTLIER_HZ, _OUTLIER_SIGMA * usual)
    return Field(smooth_field(hz, trust * near, affine), known & near, affine)


def smooth_field(hz: np.ndarray, trust: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Field without noise where it is trusted, and carried on smoothly where it is not.

    Parameters
    ----------
    hz : (I, J, K) array
    trust : (I, J, K) array
        1 where the field is well known, 0 where nothing is.
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (I, J, K) array
        Planes fitted over short distances where there is enough trust, means over longer ones
        elsewhere, and zero far from everything.
    """
    result = np.zeros(hz.shape)
    for sigma in _BLURS_MM:
        blur = sigma / voxel_sizes(affine)
        weight = ndimage.gaussian_filter(trust, blur, mode="constant")
        total = ndimage.gaussian_filter(hz * trust, blur, mode="constant")
        result = (total + _HALF_TRUST * result) / (weight + _HALF_TRUST)
    return local_linear(hz, trust, affine, _PLANE_MM, result)
