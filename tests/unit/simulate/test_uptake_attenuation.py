import numpy as np
import pytest

from bids_gan.simulate.attenuation import hounsfield_table, scan_ct
from bids_gan.simulate.labels import BRAIN_LABELS
from bids_gan.simulate.uptake import fdg_table, scan_pet


def test_uptake_is_relative_to_the_cerebellum():
    table = fdg_table()
    assert table.shape == (1024,)
    assert table[0] == 0
    cortex, white = 4.5, 1.0  # volumes of the cerebellum's two tissues
    assert (cortex * table[8] + white * table[7]) / (cortex + white) == pytest.approx(1, abs=0.01)
    assert table[12] > table[3] > table[10] > table[16] > table[2] > table[4] > 0
    assert fdg_table(np.random.default_rng(1))[3] != table[3]


def test_point_spread_function_has_the_stated_width():
    point = np.zeros((41, 41, 41))
    point[20, 20, 20] = 1e6  # so strong that the noise does not matter
    image = scan_pet(point, (1.0, 1.0, 2.0), np.random.default_rng(0), fwhm=6.0, counts=1e9)
    assert image.sum() == pytest.approx(1e6, rel=1e-2)
    for axis, half in ((0, 3.0), (2, 1.5)):  # half the width in voxels
        line = np.moveaxis(image, axis, 0)[:, 20, 20]
        at_half = np.interp(20 + half, np.arange(41), line)
        assert at_half == pytest.approx(line[20] / 2, rel=0.03)


@pytest.mark.parametrize("voxel", [1.0, 2.0])
@pytest.mark.parametrize(("uptake", "counts"), [(1.0, 4000.0), (4.0, 4000.0), (1.0, 16000.0)])
def test_noise_is_that_of_counting_on_any_grid(uptake, counts, voxel):
    flat = np.full((40, 40, 40), uptake)
    image = scan_pet(flat, (voxel,) * 3, np.random.default_rng(0), 6.0, counts)
    sigma = 0.6 * 6.0 / 2.3548
    averaged = 8 * np.pi**1.5 * sigma**3 / 1000  # ml
    assert image.mean() == pytest.approx(uptake, rel=0.01)
    assert image.std() == pytest.approx(np.sqrt(uptake / (counts * averaged)), rel=0.02)


def test_hounsfield_units_of_every_label():
    table = hounsfield_table()
    assert table[0] == -1000
    brain = table[list(BRAIN_LABELS)]
    assert brain.min() >= 0
    assert brain.max() <= 60
    assert table[3] > table[2] > table[4]
    assert 900 < table[515] < 1800
    assert 200 < table[516] < 900
    assert -100 < table[507] < 60


def test_people_differ_in_bone_more_than_in_brain():
    tables = np.array([hounsfield_table(np.random.default_rng(s)) for s in range(50)])
    assert 100 < tables[:, 515].std() < 300
    assert tables[:, 2].std() < 5
    assert (tables[:, 0] == -1000).all()


def test_ct_keeps_the_mean_and_has_the_asked_noise():
    image = scan_ct(np.full((30, 30, 30), 40.0), (1, 1, 1), np.random.default_rng(0), noise=6.0)
    assert image.mean() == pytest.approx(40, abs=0.2)
    assert image.std() == pytest.approx(6, rel=0.05)
    assert scan_ct(np.full((9, 9, 9), -1000.0), (1, 1, 1), np.random.default_rng(0)).min() >= -1024
