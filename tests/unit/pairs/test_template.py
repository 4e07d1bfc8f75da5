"""The template, held to a person's white matter."""

import numpy as np

from bids_gan.pairs.template import GREY_SHARE, pseudo_fa


def test_fa_is_held_to_the_persons_white_matter():
    white = np.zeros((20, 20, 20), np.float32)
    white[10:] = 1
    fa = pseudo_fa(np.full_like(white, 0.6), white)
    assert np.allclose(fa[13:], 0.6, atol=1e-3)
    assert np.allclose(fa[:7], 0.6 * GREY_SHARE, atol=1e-3)
    assert 0.3 < fa[9:11].mean() < 0.5


def test_registration_overshoot_is_no_fa():
    assert pseudo_fa(np.full((8, 8, 8), 1.2), np.ones((8, 8, 8))).max() <= 1
    assert pseudo_fa(np.full((8, 8, 8), -0.1), np.ones((8, 8, 8))).min() >= 0
