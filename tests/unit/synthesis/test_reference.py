"""Images whose unit is the mean of a structure."""

from types import SimpleNamespace

import numpy as np
import pytest

from bids_gan.anatomy.segment import STRUCTURES
from bids_gan.errors import DataError
from bids_gan.synthesis.generate import reference_level


@pytest.fixture
def anatomy():
    """A head with cerebellar grey and white matter at one end, on a grid that is not at zero."""
    structures = np.zeros((30, 30, 30), np.uint8)
    structures[5:25, 5:25, 5:10] = STRUCTURES.index("cerebellar grey")
    structures[10:20, 10:20, 7:9] = STRUCTURES.index("cerebellar white")
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -20, 10, 5
    return SimpleNamespace(structures=structures, affine=affine)


def test_unit_is_the_mean_of_grey_and_white_matter_of_the_cerebellum(anatomy):
    box = (slice(3, 30), slice(2, 28), slice(4, 30))
    image = np.where(anatomy.structures == 6, 3.0, 2.0)
    image[anatomy.structures == 0] = 100.0
    cut = anatomy.affine.copy()
    cut[:3, 3] += 3, 2, 4
    expected = image[anatomy.structures > 0].mean()
    assert reference_level(anatomy, image[box], cut, "cerebellum") == pytest.approx(expected)


def test_a_head_without_cerebellum_has_no_unit(anatomy):
    anatomy.structures[:] = 0
    with pytest.raises(DataError, match="0 voxels of the cerebellum"):
        reference_level(anatomy, np.ones((30, 30, 30)), anatomy.affine, "cerebellum")
