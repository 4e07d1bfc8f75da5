import numpy as np
import pytest
from phantom import ORIENTATIONS, grid

from bids_gan.diffusion.gradients import (
    Gradients,
    format_bvals,
    format_bvecs,
    from_world,
    load_gradients,
    rotate,
    world_directions,
)
from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.errors import DataError
from bids_gan.simulate.epi import random_directions


def table(n=7):
    return Gradients(np.r_[0.0, np.full(n, 1000.0)], np.r_[np.zeros((1, 3)), random_directions(n)])


def write(folder, bvals, bvecs):
    np.savetxt(folder / "a.bval", np.atleast_2d(bvals), fmt="%g")
    np.savetxt(folder / "a.bvec", bvecs, fmt="%.6f")
    return folder / "a.bval", folder / "a.bvec"


@pytest.mark.parametrize("transposed", [False, True])
def test_reads_both_layouts(tmp_path, transposed):
    expected = table()
    vectors = expected.bvecs if transposed else expected.bvecs.T
    found = load_gradients(*write(tmp_path, expected.bvals, vectors), 8)
    assert np.allclose(found.bvecs, expected.bvecs, atol=1e-5)
    assert found.is_b0.tolist() == [True] + [False] * 7


def test_written_text_is_read_back(tmp_path):
    expected = table()
    (tmp_path / "a.bval").write_text(format_bvals(expected))
    (tmp_path / "a.bvec").write_text(format_bvecs(expected))
    found = load_gradients(tmp_path / "a.bval", tmp_path / "a.bvec", 8)
    assert np.allclose(found.bvals, expected.bvals)
    assert np.allclose(found.bvecs, expected.bvecs, atol=1e-5)


def test_near_unit_vectors_are_rescaled_and_missing_ones_at_b0_allowed(tmp_path):
    bvecs = table().bvecs * 1.05
    bvecs[0] = np.nan
    found = load_gradients(*write(tmp_path, table().bvals, bvecs.T), 8)
    assert np.allclose(np.linalg.norm(found.bvecs[1:], axis=1), 1)
    assert np.all(found.bvecs[0] == 0)


def spoil(name):
    """Gradient arrays with one fault."""
    bvals, bvecs = table().bvals.copy(), table().bvecs.copy()
    if name == "count":
        bvals = bvals[:-1]
    elif name == "negative b":
        bvals[3] = -5
    elif name == "nan b":
        bvals[3] = np.nan
    elif name == "nan vector":
        bvecs[3] = np.nan
    elif name == "zero vector":
        bvecs[3] = 0
    elif name == "length":
        bvecs[3] *= 2
    elif name == "no low b":
        bvals[0] = 900
        bvecs[0] = [1, 0, 0]
    elif name == "few directions":
        bvecs[2:] = -bvecs[1]
    elif name == "layout":
        bvecs = bvecs[:-1]
    return bvals, bvecs


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("count", "7 b-values for an image of 8 volumes"),
        ("negative b", "volume 3 is -5"),
        ("nan b", "volume 3 is nan"),
        ("nan vector", "volume 3 .* not a number"),
        ("zero vector", "volume 3 .* is zero"),
        ("length", "volume 3 .* length 2.000"),
        ("no low b", "lowest b-value is 900"),
        ("few directions", "1 distinct"),
        ("layout", "3 x 8 .* or 8 x 3"),
    ],
)
def test_refuses_and_names_the_file(tmp_path, fault, words):
    bvals, bvecs = spoil(fault)
    with pytest.raises(DataError, match=words) as caught:
        load_gradients(*write(tmp_path, bvals, bvecs.T), 8)
    assert "a.bv" in str(caught.value)


def test_text_that_is_no_table(tmp_path):
    bval, bvec = write(tmp_path, table().bvals, table().bvecs.T)
    bval.write_text("0 1000 oops")
    with pytest.raises(DataError, match="not a table of numbers"):
        load_gradients(bval, bvec, 8)
    with pytest.raises(DataError, match="no such file"):
        load_gradients(tmp_path / "absent.bval", bvec, 8)


def test_lowest_b_stands_in_for_missing_b0():
    gradients = Gradients(np.array([100.0, 130.0, 1000.0]), np.eye(3))
    assert gradients.is_b0.tolist() == [True, True, False]


def test_fsl_sign_of_known_cases():
    along_x = Gradients(np.array([1000.0]), np.array([[1.0, 0, 0]]))
    ras, las = np.eye(4), np.diag([-1.0, 1, 1, 1])
    # positive determinant: FSL negates x; negative determinant: voxel x points to the left
    assert np.allclose(world_directions(along_x, ras), [[-1, 0, 0]])
    assert np.allclose(world_directions(along_x, las), [[-1, 0, 0]])
    along_y = Gradients(np.array([1000.0]), np.array([[0.0, 1, 0]]))
    assert np.allclose(world_directions(along_y, ras), [[0, 1, 0]])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_world_round_trip(orientation):
    _, affine = grid(orientation)
    directions = random_directions(9)
    gradients = from_world(np.full(9, 1000.0), directions, affine)
    assert np.allclose(world_directions(gradients, affine), directions)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_rotation_is_the_same_for_every_orientation(orientation):
    """A head turned by R has a fibre at R d; in the reference pose the table must see d."""
    _, affine = grid(orientation)
    fibres = random_directions(5)
    turns = [
        rigid_matrix(np.r_[np.deg2rad([10, -20, 5.0 * n]), 1, 2, 3], np.ones(3)) for n in range(5)
    ]
    applied = np.array([m[:3, :3] @ d for m, d in zip(turns, fibres, strict=True)])
    gradients = from_world(np.full(5, 1000.0), applied, affine)
    turned = rotate(gradients, affine, np.array(turns))
    assert np.allclose(world_directions(turned, affine), fibres)
