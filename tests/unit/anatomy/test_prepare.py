"""The grid on which the anatomy network works."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bids_gan.anatomy.prepare import UPPER_PART, working_grid


@pytest.mark.parametrize("zooms", [(1, 1, 1), (1.5, 1, 2)])
@pytest.mark.parametrize("codes", ["RAS", "LPI", "AIL", "SPR", "PSL", "IRA"])
def test_upper_part_is_that_of_the_head_in_any_orientation(codes, zooms):
    """Brightness is the height in mm, of a head 240 mm high in an image of 280 mm."""
    size = np.array([24, 24, 280]) // zooms
    height = zooms[2] * np.arange(size[2], dtype=float)
    column = np.where((height > 20) & (height <= 260), 100 + height, 0)
    data = np.broadcast_to(column, size.astype(int)).astype(np.float32)
    ras = nib.Nifti1Image(data, np.diag([*zooms, 1]))
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    head, affine = working_grid(ras.as_reoriented(turn))
    shown = head[UPPER_PART]
    assert nib.aff2axcodes(affine) == ("R", "A", "S")
    assert shown.shape[2] == 200 < head.shape[2]
    assert shown[12, 12, 100] == pytest.approx(262, abs=3)
    assert shown[12, 12, 0] == pytest.approx(162, abs=3)
