"""Other contrasts look like a T1w to the anatomy network."""

import numpy as np
import pytest
from tiny_person import TISSUES

from bids_gan.anatomy.contrast import fold


@pytest.mark.parametrize("contrast", ["T2w", "PDw", "FLAIR"])
def test_order_of_the_tissues_becomes_that_of_a_t1w(contrast):
    fluid, grey, white = fold(np.array(TISSUES[contrast]), contrast)
    assert 0 < fluid <= grey + 0.2  # a proton density does not tell them apart
    assert 0.5 < grey < 0.85
    assert white == 1
    np.testing.assert_allclose(fold(np.array([0, 0.3]), contrast), [0, 0.3])
