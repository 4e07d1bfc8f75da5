import nibabel as nib
import numpy as np
import pytest
from phantom import brain_mask, grid, head, texture, world_points

from bids_gan.diffusion.gradients import from_world, world_directions
from bids_gan.diffusion.motion import estimate_motion, framewise_displacement, shells
from bids_gan.diffusion.reference import b0_reference, robust_mean
from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.simulate.epi import random_directions


def scheme(affine, n=12, n_b0=2, b=1000.0):
    bvals = np.r_[np.zeros(n_b0), np.full(n, b)]
    return from_world(bvals, np.r_[np.zeros((n_b0, 3)), random_directions(n or 1)[:n]], affine)


def series(shape, affine, gradients, poses, noise, seed=0):
    """Volumes of a head that takes a pose in each; diffusion weighting dims by direction."""
    rng = np.random.default_rng(seed)
    world = world_directions(gradients, affine)
    points = world_points(shape, affine)
    volumes = []
    for b, g, pose in zip(gradients.bvals, world, poses, strict=True):
        at = nib.affines.apply_affine(np.linalg.inv(pose), points)
        axis = np.stack([texture(at, s, 24.0) for s in (1, 2, 3)], -1) - 0.5
        apparent = 0.7e-3 * (1 + 0.1 * (axis @ (g**2 - 1 / 3)))
        volume = 1000 * head(at) * np.exp(-b * apparent)
        parts = noise * rng.standard_normal((2, *shape))
        volumes.append(np.hypot(volume + parts[0], parts[1]))
    return nib.Nifti1Image(np.stack(volumes, -1).astype(np.float32), affine)


def errors(found, true):
    change = [
        rigid_parameters(f @ np.linalg.inv(t), np.zeros(3))
        for f, t in zip(found, true, strict=True)
    ]
    change = np.array(change)
    return np.linalg.norm(change[:, 3:], axis=1), np.rad2deg(np.linalg.norm(change[:, :3], axis=1))


@pytest.fixture(scope="module")
def setup():
    shape, affine = grid("oblique", (4.0, 4.0, 4.0))
    return shape, affine, scheme(affine), brain_mask(world_points(shape, affine))


def test_known_motion_is_recovered(setup):
    shape, affine, gradients, mask = setup
    rng = np.random.default_rng(1)
    poses = [
        rigid_matrix(
            np.r_[np.deg2rad(rng.normal(0, 1.5, 3)), rng.normal(0, 1.5, 3)] * (n > 0), np.zeros(3)
        )
        for n in range(len(gradients))
    ]
    img = series(shape, affine, gradients, poses, noise=20)
    reference = nib.Nifti1Image(np.asarray(img.dataobj[..., 0]), affine)
    motion = estimate_motion(img, gradients, reference, mask)
    mm, degrees = errors(motion.matrices, poses)
    assert mm.max() < 0.3
    # 0.44 mm at the surface of the head, a tenth of a voxel
    assert degrees.max() < 0.5
    assert motion.fd[0] == 0
    assert np.all(motion.fd[1:] > 0.3)


def test_still_head_stays_still(setup):
    shape, affine, gradients, mask = setup
    still = np.tile(np.eye(4), (len(gradients), 1, 1))
    img = series(shape, affine, gradients, still, noise=50, seed=4)
    motion = estimate_motion(img, gradients, b0_reference(img, gradients), mask)
    mm, degrees = errors(motion.matrices, still)
    assert mm.max() < 0.2
    assert degrees.max() < 0.2


def test_reference_aligns_before_averaging(setup):
    shape, affine, _, _ = setup
    poses = [np.eye(4), rigid_matrix(np.r_[0, 0, 0.05, 4, 0, 0], np.zeros(3))]
    img = series(shape, affine, scheme(affine, 0, 2), poses, noise=1)
    reference = np.asarray(b0_reference(img, scheme(affine, 0, 2)).dataobj)
    first = np.asarray(img.dataobj[..., 0])
    plain = np.asarray(img.dataobj).mean(-1)
    assert np.abs(reference - first).mean() < 0.3 * np.abs(plain - first).mean()


def test_robust_mean_ignores_one_bad_volume():
    volumes = np.ones((2, 2, 2, 5)) + 0.01 * np.arange(5)
    volumes[..., 4] = 100
    assert robust_mean(volumes).max() < 1.1


def test_shells_join_small_groups_to_a_neighbour():
    bvals = np.r_[0, np.full(6, 1000), np.full(6, 2000.0), 2900, 3010]
    gradients = from_world(bvals, np.ones((15, 3)), np.eye(4))
    assert [len(s) for s in shells(gradients)] == [6, 8]


def test_framewise_displacement_of_known_steps():
    steps = [np.eye(4), rigid_matrix(np.r_[0, 0, 0, 1.0, -2.0, 0], np.zeros(3))]
    steps.append(rigid_matrix(np.r_[0.02, 0, 0, 1.0, -2.0, 0], np.zeros(3)))
    assert np.allclose(framewise_displacement(np.array(steps), np.zeros(3)), [0, 3, 1])
