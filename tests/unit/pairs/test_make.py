"""Pairs of a dataset: what is there already is not taken for something else."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.errors import UsageError
from bids_gan.pairs.make import make_pairs
from bids_gan.pairs.store import Pair, write_pair


def test_pair_for_another_target_is_no_pair(tmp_path):
    folder = tmp_path / "bids/sub-01/anat"
    folder.mkdir(parents=True)
    nib.save(
        nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), folder / "sub-01_T1w.nii.gz"
    )
    mask = np.ones((4, 4, 4), bool)
    image = mask.astype(np.float32)
    pair = Pair(image, mask, image, mask, np.eye(4), np.eye(4), 1, {})
    write_pair(tmp_path / "pairs", "01", "FA", pair, {})
    make_pairs(tmp_path / "bids", tmp_path / "pairs", "FA")
    with pytest.raises(UsageError, match="sub-01 is a pair for FA"):
        make_pairs(tmp_path / "bids", tmp_path / "pairs", "T2w")
