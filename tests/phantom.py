"""A small head-like phantom with structure everywhere, on any grid."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

ORIENTATIONS = ("RAS", "LAS", "LIA", "PSR", "oblique")
PE_DIRECTIONS = ("i", "i-", "j", "j-", "k", "k-")


def grid(orientation: str, zooms=(3.0, 4.0, 5.0), extent=120.0):
    """Shape and affine of a grid of about `extent` mm centred on the world origin."""
    code = "RAS" if orientation == "oblique" else orientation
    shape = tuple(int(np.ceil(extent / z)) for z in zooms)
    affine = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(tuple(code)), (1, 1, 1))
    affine[:3, 3] = 0
    affine = affine @ np.diag([*zooms, 1.0])
    if orientation == "oblique":
        angle = np.deg2rad(15)
        cos, sin = np.cos(angle), np.sin(angle)
        about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        affine[:3, :3] = about_z @ about_x @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return shape, affine


def world_points(shape, affine):
    """(I, J, K, 3) world positions of all voxels."""
    return nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def brain_mask(points):
    """Ellipsoid of 40, 48 and 36 mm half axes around the origin."""
    return ((points / [40.0, 48.0, 36.0]) ** 2).sum(-1) < 1


def texture(points, seed=0, wavelength=22.0):
    """Smooth positive random function of world position, about 0 to 1."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(30, 3))
    waves *= 2 * np.pi / wavelength / np.linalg.norm(waves, axis=1, keepdims=True)
    waves *= rng.uniform(0.4, 1.0, (30, 1))
    phase = rng.uniform(0, 2 * np.pi, 30)
    values = np.cos(points @ waves.T + phase).sum(-1) / np.sqrt(15)
    return 1 / (1 + np.exp(-1.5 * values))


def soft_brain(points):
    """Brain mask with an edge some millimetres wide."""
    radius = np.sqrt(((points / [40.0, 48.0, 36.0]) ** 2).sum(-1))
    return 1 / (1 + np.exp((radius - 1) * 15))


def head(points, seed=0):
    """Undistorted b=0-like image."""
    return (soft_brain(points) * (0.5 + texture(points, seed))).astype(np.float32)


def blur(image, sigma=1.0):
    return ndimage.gaussian_filter(image, sigma)
