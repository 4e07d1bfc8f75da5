"""A pair comes back as it was written, or not at all."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.errors import DataError
from bids_gan.pairs.store import TARGETS, Pair, find_pair, is_whole, read_summary, write_pair


def make_pair(thickness=1):
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 9, 10), bool)
    mask[2:6, 2:7, 2:8] = True
    affine = np.array([[1, 0, 0, -4.0], [0, 1, 0, 3], [0, 0, 1, 2], [0, 0, 0, 1]])
    image = rng.random(mask.shape, np.float32) * mask
    appearance = {"grey_mean": 0.6}
    to_mni = affine + 0.01
    return Pair(image, mask, image * 2, mask, affine, to_mni, thickness, appearance)


@pytest.mark.parametrize("target", TARGETS)
def test_pair_comes_back(tmp_path, target):
    pair = make_pair(thickness=5)
    assert not is_whole(tmp_path, "01")
    write_pair(tmp_path, "01", target, pair, {"Synthetic": True})
    assert is_whole(tmp_path, "01")
    again = find_pair(tmp_path, "01")
    volumes = [pair.t1w, pair.target, pair.mask, pair.supervised]
    np.testing.assert_allclose(again.read(), volumes, atol=1e-6)
    np.testing.assert_allclose(again.voxel_to_mni, pair.to_mni @ pair.affine, atol=1e-6)
    assert again.thickness == 5
    assert read_summary(tmp_path, "01")["Appearance"] == pair.appearance


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"pair\.json.*bids-gan-model pairs"):
        find_pair(tmp_path, "01")


def test_grids_must_agree(tmp_path):
    write_pair(tmp_path, "01", "FA", make_pair(), {})
    path = next(tmp_path.glob("**/*desc-target_FA.nii.gz"))
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), np.eye(4)), path)
    with pytest.raises(DataError, match="desc-target_FA"):
        find_pair(tmp_path, "01")
