"""A coarse map of the large white-matter bundles, and the fibre pattern that follows from it.

The waypoints are round-number positions in MNI space. They make simulated anisotropy look like a
brain (bright callosum and capsules, dim crossings and gyral blades); they are no atlas.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree

# radius in mm, waypoints in MNI mm (left hemisphere; `MIDLINE` bundles run from left to right)
BUNDLES = {
    "corticospinal": (5, [(-28, -22, 62), (-25, -20, 36), (-23, -14, 12), (-14, -16, -8),
                          (-8, -22, -26), (-5, -30, -44), (-4, -38, -60)]),
    "motor face": (4, [(-48, -8, 40), (-32, -12, 26), (-23, -12, 12)]),
    "anterior capsule": (4, [(-8, -6, 6), (-16, 8, 6), (-22, 30, 8), (-20, 48, 8)]),
    "posterior capsule": (4, [(-14, -22, 6), (-24, -34, 22), (-24, -52, 48)]),
    "optic radiation": (5, [(-22, -26, 0), (-36, -36, -2), (-36, -56, 2), (-22, -84, 4)]),
    "external capsule": (3, [(-24, 34, 0), (-31, 12, -2), (-33, -8, -2), (-38, -28, -6)]),
    "uncinate": (3, [(-18, 34, -8), (-30, 8, -10), (-34, 0, -24)]),
    "superior longitudinal": (5, [(-36, 28, 24), (-38, 4, 28), (-38, -24, 30), (-38, -46, 24),
                                  (-46, -44, 2), (-48, -24, -10)]),
    "inferior longitudinal": (4, [(-30, -80, 2), (-42, -44, -8), (-42, -16, -22), (-34, 2, -30)]),
    "cingulum": (3, [(-7, 34, 8), (-9, 22, 28), (-9, -10, 36), (-9, -36, 32), (-14, -46, 8),
                     (-24, -30, -12)]),
    "cerebellar peduncle": (5, [(-26, -58, -38), (-20, -44, -34), (-12, -28, -32)]),
    "superior peduncle": (2.5, [(-12, -56, -30), (-6, -40, -22), (-4, -28, -10)]),
}  # fmt: skip
MIDLINE = {
    "genu": (5, [(-20, 52, 10), (-12, 36, 8), (0, 28, 8), (12, 36, 8), (20, 52, 10)]),
    "splenium": (5, [(-22, -80, 14), (-20, -54, 16), (0, -38, 14), (20, -54, 16), (22, -80, 14)]),
    "pons": (4, [(-14, -28, -32), (0, -18, -32), (14, -28, -32)]),
    "anterior commissure": (2, [(-22, -2, -8), (0, 2, -5), (22, -2, -8)]),
}
# the callosal body is a sheet: one line for every few millimetres
CALLOSAL_ROOF = {20: 20, 14: 22, 8: 24, 2: 25, -4: 26, -10: 26, -16: 26, -22: 25, -28: 23, -33: 19}


def bundle_lines() -> list[tuple[float, np.ndarray]]:
    """Bundles of both hemispheres: radius in mm, (N, 3) points in MNI mm about 1 mm apart."""
    lines = []
    for radius, waypoints in BUNDLES.values():
        left = _smooth_line(waypoints)
        lines += [(radius, left), (radius, left * (-1, 1, 1))]
    lines += [(radius, _smooth_line(waypoints)) for radius, waypoints in MIDLINE.values()]
    for y, z in CALLOSAL_ROOF.items():
        arch = [(-30, y, z + 22), (-22, y, z + 8), (0, y, z), (22, y, z + 8), (30, y, z + 22)]
        lines.append((3.5, _smooth_line(arch)))
    return lines


def fibre_pattern(
    white: np.ndarray, affine: np.ndarray, lines: list[tuple[float, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Principal direction and coherence of the fibres in a white-matter map.

    Inside a bundle fibres follow its line; elsewhere they follow the shape of the white matter
    (the directions along which the map changes least). Both are written as orientation tensors
    and averaged over a few millimetres, so that crossing bundles lose coherence as real ones do.

    Parameters
    ----------
    white : (I, J, K) array
        White-matter probability.
    affine : (4, 4) array
        Voxel to world of an axis-aligned RAS+ grid of isotropic voxels, mm.
    lines : list of (float, (N, 3) array)
        Bundle radius in mm and points in world mm.

    Returns
    -------
    direction : (I, J, K, 3) float32 array
        Unit vector in world axes where `white` > 0.05, else zero. Its sign carries no meaning.
    coherence : (I, J, K) float32 array
        Anisotropy of the averaged orientation tensor, 0 to 1.
    """
    spacing = float(affine[0, 0])
    tensor = _shape_tensor(white, spacing)
    inside = white > 0.05
    voxels = np.argwhere(inside)
    points = np.concatenate([line for _, line in lines])
    tangents = np.concatenate([_tangents(line) for _, line in lines])
    radii = np.concatenate([np.full(len(line), radius) for radius, line in lines])
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    distance, nearest = cKDTree(points).query(world, distance_upper_bound=3 * radii.max())
    near = np.isfinite(distance)
    weight = np.zeros((len(voxels), 1), np.float32)
    weight[near, 0] = np.exp(-0.5 * (distance[near] / radii[nearest[near]]) ** 2)
    along = np.zeros((len(voxels), 3), np.float32)
    along[near] = tangents[nearest[near]]

    for n, (a, b) in enumerate(zip(*np.triu_indices(3), strict=True)):
        # a bundle counts for more than the shape: its fibres are known to be parallel
        shape_part = 0.6 * (1 - weight[:, 0]) * tensor[n][inside]
        tensor[n][:] = 0
        tensor[n][inside] = white[inside] * (shape_part + weight[:, 0] * along[:, a] * along[:, b])
        tensor[n] = ndimage.gaussian_filter(tensor[n], 1.2 / spacing)
    return _principal(tensor, inside)


def _smooth_line(waypoints: list[tuple[float, float, float]]) -> np.ndarray:
    knots = np.array(waypoints, float)
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))]
    spline = make_interp_spline(length, knots, k=min(3, len(knots) - 1))
    return spline(np.arange(0, length[-1] + 0.5, 1.0))


def _tangents(line: np.ndarray) -> np.ndarray:
    step = np.gradient(line, axis=0)
    return step / np.linalg.norm(step, axis=1, keepdims=True)


def _shape_tensor(white: np.ndarray, spacing: float) -> np.ndarray:
    """Orientation tensor (xx, xy, xz, yy, yz, zz) of trace 1: large along constant `white`."""
    smooth = ndimage.gaussian_filter(white, 1.0 / spacing)
    slope = np.gradient(smooth, spacing)
    pairs = zip(*np.triu_indices(3), strict=True)
    products = (slope[a] * slope[b] for a, b in pairs)
    across = np.stack([ndimage.gaussian_filter(p, 2.0 / spacing) for p in products])
    trace = across[0] + across[3] + across[5] + 1e-4
    tensor = -across / (2 * trace)
    tensor[[0, 3, 5]] += 0.5
    return tensor


def _principal(tensor: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    xx, xy, xz, yy, yz, zz = tensor[:, inside]
    matrices = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=-1).reshape(-1, 3, 3)
    values, vectors = np.linalg.eigh(matrices)
    direction = np.zeros((*inside.shape, 3), np.float32)
    direction[inside] = vectors[:, :, 2]
    spread = values - values.mean(axis=1, keepdims=True)
    norm = np.maximum((values**2).sum(axis=1), 1e-12)
    coherence = np.zeros(inside.shape, np.float32)
    coherence[inside] = np.sqrt(1.5 * (spread**2).sum(axis=1) / norm)
    return direction, coherence
