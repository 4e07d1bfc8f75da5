"""What scanners and people do to an image: seeded, on whole volumes with their affine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from bids_gan.geometry import mask_bounds, voxel_sizes


@dataclass(frozen=True)
class Volume:
    """An image with its grid and a record of what was done to it.

    Attributes
    ----------
    data : (I, J, K) float32 array
    affine : (4, 4) array
        Voxel to world, mm.
    history : dict
        Name of each artefact and its parameters, ready for a JSON sidecar.
    """

    data: np.ndarray
    affine: np.ndarray
    history: dict = field(default_factory=dict)

    def then(self, data: np.ndarray, affine: np.ndarray | None = None, **done) -> Volume:
        """Next volume, with `done` added to the history."""
        affine = self.affine if affine is None else affine
        return Volume(np.asarray(data, np.float32), affine, self.history | done)


def bias_field(
    shape: tuple[int, int, int], rng: np.random.Generator, strength: float = 0.2
) -> np.ndarray:
    """Smooth multiplicative field of a receive coil.

    Parameters
    ----------
    shape : tuple of int
    rng : Generator
    strength : float
        Standard deviation of its logarithm; 0.1 to 0.4 at 3 T.

    Returns
    -------
    (I, J, K) float32 array of geometric mean 1
    """
    waves = np.zeros(shape, np.float32)
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    for _ in range(6):
        direction, phase = rng.normal(0, 0.9, 3), rng.uniform(0, 2 * np.pi)
        x, y, z = np.meshgrid(
            *(d * a for d, a in zip(direction, axes, strict=True)), indexing="ij", sparse=True
        )
        waves += rng.normal() * np.cos(np.pi * (x + y + z) + phase)
    waves -= waves.mean()
    return np.exp(waves * (strength / max(float(waves.std()), 1e-6)))


def change_gamma(data: np.ndarray, exponent: float) -> np.ndarray:
    """Bend the intensities; the 99th percentile of what is above zero stays where it is."""
    top = float(np.percentile(data[data > 0], 99)) if (data > 0).any() else 1.0
    return top * (np.maximum(data, 0) / top) ** np.float32(exponent)


def thick_slices(
    data: np.ndarray, affine: np.ndarray, axis: int, thickness: float, *, resample_back: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Average over slices of a given thickness.

    Parameters
    ----------
    data : (I, J, K) array
    affine : (4, 4) array
    axis : {0, 1, 2}
    thickness : float
        mm; not thinner than the voxels are.
    resample_back : bool
        Return to the grid of `data` by linear interpolation, else keep the coarse one.

    Returns
    -------
    data : float32 array
    affine : (4, 4) array
        The same world positions: the centre of the first slice moves with its thickness.
    """
    step = thickness / voxel_sizes(affine)[axis]
    lines = np.moveaxis(np.asarray(data, np.float32), axis, 0)
    count = int(np.floor(len(lines) / step))
    start = (len(lines) - count * step) / 2 - 0.5
    # the integral up to a position is piecewise linear, so the averages are exact
    integral = np.concatenate([np.zeros((1, *lines.shape[1:])), np.cumsum(lines, 0, np.float64)])
    edges = start + 0.5 + step * np.arange(count + 1)
    low = np.minimum(edges.astype(int), len(lines) - 1)
    part = (edges - low)[:, None, None]
    at_edges = (1 - part) * integral[low] + part * integral[low + 1]
    slices = np.diff(at_edges, axis=0) / step
    if resample_back:
        position = (np.arange(len(lines)) - start) / step - 0.5
        position = np.clip(position, 0, count - 1)
        low = np.minimum(position.astype(int), max(count - 2, 0))
        part = (position - low)[:, None, None]
        slices = (1 - part) * slices[low] + part * slices[np.minimum(low + 1, count - 1)]
        return np.moveaxis(slices, 0, axis).astype(np.float32), affine
    coarse = np.eye(4)
    coarse[axis, axis] = step
    coarse[axis, 3] = start + step / 2
    return np.moveaxis(slices, 0, axis).astype(np.float32), affine @ coarse


def move_during_scan(
    data: np.ndarray,
    affine: np.ndarray,
    axis: int,
    rng: np.random.Generator,
    degrees: float = 2.0,
    mm: float = 2.0,
    moves: int = 2,
) -> np.ndarray:
    """The head moves between groups of phase-encoding lines.

    Parameters
    ----------
    data, affine
        Image and its grid.
    axis : int
        Array axis of phase encoding.
    rng : Generator
    degrees, mm : float
        Standard deviation of each rotation angle and shift.
    moves : int

    Notes
    -----
    Lines are measured in order, so each group of lines is a band of k-space; the band that holds
    the centre sees the head at rest, which leaves the anatomy where it was.
    """
    n = data.shape[axis]
    lines = np.fft.ifftshift(np.arange(n))  # order of measurement of each stored line
    cuts = np.sort(rng.uniform(0.1, 0.9, moves) * n)
    group = np.searchsorted(cuts, lines, side="right")
    at_rest = np.searchsorted(cuts, n // 2, side="right")
    shape = [1, 1, 1]
    shape[axis] = n
    spectrum = fft.fft(data, axis=axis)
    centre = (np.array(data.shape) - 1) / 2
    for g in range(moves + 1):
        if g == at_rest:
            continue
        turn = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
        voxels = np.linalg.inv(affine[:3, :3])
        matrix = voxels @ turn @ affine[:3, :3]
        shift = voxels @ rng.normal(0, mm, 3)
        moved = ndimage.affine_transform(
            data, matrix, offset=centre - matrix @ centre + shift, order=1
        )
        here = (group == g).reshape(shape)
        spectrum = np.where(here, fft.fft(moved, axis=axis), spectrum)
    return np.abs(fft.ifft(spectrum, axis=axis)).astype(np.float32)


def ghost(data: np.ndarray, axis: int, strength: float, period: int = 2) -> np.ndarray:
    """Copies of the image along phase encoding, `strength` of the signal, FOV / `period` apart."""
    spectrum = fft.fft(np.asarray(data, np.float32), axis=axis)
    shape = [1, 1, 1]
    shape[axis] = data.shape[axis]
    wave = np.cos(2 * np.pi * np.arange(data.shape[axis]) / period).reshape(shape)
    # a cosine makes one copy for period 2 and two halves for longer periods
    return np.abs(fft.ifft(spectrum * (1 + strength * wave), axis=axis)).astype(np.float32)


def rician_noise(data: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a signal with Gaussian noise of standard deviation `sigma` in both channels."""
    real = data + sigma * rng.standard_normal(data.shape, np.float32)
    return np.hypot(real, sigma * rng.standard_normal(data.shape, np.float32))


def crop_field_of_view(
    data: np.ndarray, affine: np.ndarray, keep: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random part of what surrounds `keep` (the brain) on every side."""
    low, high = mask_bounds(keep)
    start = np.floor(rng.uniform(0, 1, 3) * low).astype(int)
    rest = np.array(data.shape) - 1 - high
    stop = np.array(data.shape) - np.floor(rng.uniform(0, 1, 3) * rest).astype(int)
    moved = np.array(affine, float)
    moved[:3, 3] = affine[:3, :3] @ start + affine[:3, 3]
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return data[window], moved


def mirror(affine: np.ndarray, midline: float = 0.0) -> np.ndarray:
    """Affine with which an image shows the mirrored anatomy: world x becomes 2·midline - x.

    The array stays as it is. Only its affine changes, so every orientation is right.
    """
    reflection = np.diag([-1.0, 1.0, 1.0, 1.0])
    reflection[0, 3] = 2 * midline
    return reflection @ affine


def randomise(
    data: np.ndarray,
    affine: np.ndarray,
    brain: np.ndarray,
    rng: np.random.Generator,
    level: float = 1.0,
) -> Volume:
    """Image as it may leave a scanner.

    Parameters
    ----------
    data : (I, J, K) array
        Clean magnitude image.
    affine : (4, 4) array
    brain : (I, J, K) bool array
        Decides where skull stripping cuts and what cropping keeps, and sets the noise level.
    rng : Generator
        The same generator state gives the same image.
    level : float
        0 leaves the image alone, 1 is the worst that studies still keep; chances and strengths
        grow with it.

    Returns
    -------
    Volume
        Its `history` names what was done.
    """
    if level == 0:
        return Volume(np.asarray(data, np.float32), affine)

    def happens(chance):
        return rng.random() < chance * level

    strength, exponent = level * rng.uniform(0.05, 0.35), np.exp(level * rng.normal(0, 0.08))
    out = Volume(data * bias_field(data.shape, rng, strength), affine, {"BiasField": strength})
    axis = int(rng.integers(3))
    if happens(0.2):
        degrees, mm = rng.uniform(0.3, 2.5, 2) * level
        moved = move_during_scan(out.data, affine, axis, rng, degrees, mm)
        out = out.then(moved, Motion={"Degrees": degrees, "Millimetres": mm, "Axis": axis})
    if happens(0.15):
        share = level * rng.uniform(0.01, 0.08)
        out = out.then(ghost(out.data, axis, share), Ghosting={"Strength": share, "Axis": axis})
    sigma = float(out.data[brain].mean()) * level * rng.uniform(0.005, 0.06)
    out = out.then(rician_noise(out.data, sigma, rng), NoiseStandardDeviation=sigma)
    out = out.then(change_gamma(out.data, exponent), Gamma=exponent)
    if happens(0.15):
        inside = ndimage.binary_dilation(brain, iterations=int(rng.integers(0, 3)))
        out = out.then(out.data * inside, SkullStripped=True)
    if happens(0.4):
        out = out.then(*crop_field_of_view(out.data, affine, brain, rng), CroppedFieldOfView=True)
    if happens(0.25):
        axis, back = int(rng.integers(3)), bool(rng.random() < 0.5)
        thickness = voxel_sizes(affine)[axis] * rng.uniform(1.5, 1.5 + 4 * level)
        slices = thick_slices(out.data, out.affine, axis, thickness, resample_back=back)
        out = out.then(
            *slices,
            SliceThickness=thickness,
            SliceAxis=axis,
            ResampledToFineGrid=back,
        )
    return out
