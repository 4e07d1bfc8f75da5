"""Any subset of the contrasts goes in, and what comes out depends on what was given and wanted."""

import itertools

import numpy as np
import pytest
from tiny_person import CONTRASTS, write_model

from bids_gan.errors import ModelError
from bids_gan.imputation.align import AlignedContrasts
from bids_gan.imputation.collagan import contrasts_of, make_contrast
from bids_gan.models.registry import load_model

SUBSETS = [
    given for n in (1, 2, 3) for given in itertools.combinations(CONTRASTS, n)
]  # 2^4 - 2 of them


@pytest.fixture(scope="module")
def model(card):
    return load_model(card)


def aligned(given, seed=0):
    mask = np.zeros((11, 9, 10), bool)  # of no size that the network likes
    mask[1:-1, 1:-1, 1:-1] = True
    rng = np.random.default_rng(seed)
    images = {c: (rng.random(mask.shape) * mask).astype(np.float32) for c in CONTRASTS}
    return AlignedContrasts({c: images[c] for c in given}, mask, np.eye(4))


def make(model, given, wanted):
    return make_contrast(aligned(given), wanted, model, precision="fp32").mean


@pytest.mark.parametrize("given", SUBSETS, ids="+".join)
def test_every_pattern(model, given):
    for wanted in set(CONTRASTS) - set(given):
        image = make(model, given, wanted)
        mask = aligned(given).mask
        assert image.shape == mask.shape
        assert np.isfinite(image).all()
        assert (image[mask] > 0).all()
        assert not image[~mask].any()


def test_every_input_and_the_wish_count(model):
    assert len(SUBSETS) == 14
    made = [make(model, given, "FLAIR") for given in SUBSETS if "FLAIR" not in given]
    made += [make(model, ["T1w"], wanted) for wanted in ("T2w", "PDw")]
    for one, other in itertools.combinations(made, 2):
        assert not np.allclose(one, other)


def test_order_of_the_scans_does_not_matter(model):
    np.testing.assert_array_equal(
        make(model, ["T1w", "PDw"], "T2w"), make(model, ["PDw", "T1w"], "T2w")
    )


def test_other_models_are_refused_by_name(tmp_path, card):
    assert contrasts_of(card) == CONTRASTS
    other = write_model(tmp_path / "a", kind="unet")
    with pytest.raises(ModelError, match=r"tiny.json: tiny makes .*impute needs a CollaGAN"):
        contrasts_of(other)
    with pytest.raises(ModelError, match=r"has b0 among its contrasts; .*T1w, T2w, PDw, FLAIR"):
        contrasts_of(write_model(tmp_path / "b", contrasts=("T1w", "b0")))
