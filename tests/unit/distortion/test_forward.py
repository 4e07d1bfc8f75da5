"""Physics of the forward model: what goes in can be got back, and nothing is lost."""

import numpy as np
import pytest
from phantom import PE_DIRECTIONS
from scipy.sparse.linalg import spsolve

from bids_gan.distortion.forward import _splat_matrix, distort
from bids_gan.distortion.units import hz_to_voxels
from bids_gan.geometry import pe_axis_sign

READOUT = 0.05


def smooth_field(shape, peak_voxels, axis):
    """Smooth Hz field that vanishes at both ends of the phase-encoding axis."""
    place = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    bump = np.sin(np.pi * place[axis]) ** 2 * (0.6 + 0.4 * np.cos(3 * place[(axis + 1) % 3]))
    return peak_voxels * bump / READOUT


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
def test_exact_inverse_returns_the_image(pe):
    """The forward model is a matrix; solving it gives any image back, noise included."""
    axis, _ = pe_axis_sign(pe)
    shape = (14, 15, 16)
    image = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    hz = smooth_field(shape, 1.5, axis)
    distorted = distort(image, hz, pe, READOUT)
    assert np.abs(distorted - image).mean() > 0.1
    shift = np.moveaxis(hz_to_voxels(hz, pe, READOUT), axis, 0)
    matrix = _splat_matrix(shift.reshape(shape[axis], -1)).astype(float).tocsc()
    solved = spsolve(matrix, np.moveaxis(distorted, axis, 0).ravel().astype(float))
    back = np.moveaxis(solved.reshape(shift.shape), 0, axis)
    assert np.abs(back - image).max() < 1e-2


@pytest.mark.parametrize("pe", ["i", "j", "k"])
def test_opposite_blips_displace_oppositely(pe):
    axis, _ = pe_axis_sign(pe)
    shape = (21, 21, 21)
    point = np.zeros(shape, np.float32)
    point[10, 10, 10] = 1
    hz = np.full(shape, 2.25 / READOUT)
    index = np.arange(21.0)
    centres = []
    for direction in (pe, pe + "-"):
        profile = distort(point, hz, direction, READOUT).sum(tuple({0, 1, 2} - {axis}))
        centres.append((profile * index).sum() / profile.sum() - 10)
    assert centres == pytest.approx([2.25, -2.25], abs=1e-5)


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
def test_total_signal_of_every_line_is_conserved(pe):
    axis, _ = pe_axis_sign(pe)
    image = np.zeros((24, 24, 24), np.float32)
    image[6:18, 6:18, 6:18] = np.random.default_rng(0).uniform(0, 1, (12, 12, 12))
    hz = smooth_field(image.shape, 5.0, axis)
    moved = distort(image, hz, pe, READOUT)
    assert np.allclose(moved.sum(axis), image.sum(axis), rtol=1e-5, atol=1e-5)
    assert np.abs(moved - image).max() > 0.2


def test_displacement_scales_with_field_and_readout_time():
    image = np.random.default_rng(0).uniform(0, 1, (12, 20, 12)).astype(np.float32)
    hz = smooth_field(image.shape, 2.0, 1)
    reference = distort(image, hz, "j", READOUT)
    assert np.allclose(distort(image, 2 * hz, "j", READOUT / 2), reference, atol=1e-5)
    assert np.abs(distort(image, hz, "j", READOUT / 2) - reference).max() > 0.05


def test_compressed_signal_is_brighter_and_stretched_signal_darker():
    image = np.ones((3, 40, 3), np.float32)
    slope = np.broadcast_to(np.linspace(0, 1, 40)[None, :, None] * 0.25 * 39, image.shape)
    stretched = distort(image, slope / READOUT, "j", READOUT)
    assert stretched[1, 12:30, 1] == pytest.approx(np.full(18, 1 / 1.25), abs=0.02)
    compressed = distort(image, -slope / READOUT, "j", READOUT)
    assert compressed[1, 10:25, 1] == pytest.approx(np.full(15, 1 / 0.75), abs=0.02)
