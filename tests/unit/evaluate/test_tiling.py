"""Disagreement of tiles and whole volume, in numbers that are known."""

import numpy as np
import pytest

from bids_gan.evaluate.tiling import compare_tilings, seam_excess, tiling_table
from bids_gan.gan.inference import run_network
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.networks.unet import SpaceToDepthUNet


def ramp(n=32):
    return np.broadcast_to(np.arange(n, dtype=float), (n, n, n)).copy()


def test_seam_is_the_extra_step_at_the_planes_of_the_tiles():
    whole = ramp() + ramp().T + ramp().transpose(0, 2, 1)
    mask = np.ones(whole.shape, bool)
    assert seam_excess(whole, whole, mask, 16, 0.0) == 0
    stepped = whole.copy()
    stepped[16:] += 2  # three times as steep across one of the three planes
    assert seam_excess(stepped, whole, mask, 16, 0.0) == pytest.approx(2 / 3)
    elsewhere = whole.copy()
    elsewhere[12:] += 2
    assert seam_excess(elsewhere, whole, mask, 16, 0.0) == pytest.approx(0)
    assert seam_excess(stepped, whole, mask & (ramp().T < 10), 16, 0.0) == pytest.approx(0)
    assert np.isnan(seam_excess(whole, whole, mask, 32, 0.0))


def test_difference_is_in_the_unit_of_the_image_and_a_share_of_its_range():
    whole = 100 * ramp()
    mask = whole < 2000
    results = list(
        compare_tilings(lambda tile, overlap: whole + (tile or 0), mask, [8, 16], [0.0, 0.5])
    )
    assert [(r.tile, r.overlap) for r in results[1:]] == [(8, 0), (8, 0.5), (16, 0), (16, 0.5)]
    assert results[0].tile is None
    assert [r.difference for r in results[1:]] == pytest.approx([8, 8, 16, 16])
    assert results[1].share == pytest.approx(8 / 1900)
    table = tiling_table(results, "HU")
    assert "difference (HU)" in table
    assert "| 16³ | 50% | 16 | 0.84% | +0% |" in table
    assert table.splitlines()[2].startswith("| whole | – ")


@pytest.mark.parametrize(
    ("network", "agrees"),
    [
        (SpaceToDepthUNet(1, 1, (16,)).eval(), True),
        (ResNetGenerator(1, 1, base=4, blocks=1).eval(), False),
    ],
    ids=["batch norm", "instance norm"],
)
def test_overlap_heals_the_seams_of_a_crop_independent_network_only(network, agrees):
    volume = np.random.default_rng(0).random((1, 40, 32, 32), np.float32)
    volume[..., 20:] *= 3

    def make(tile, overlap):
        return run_network(network, volume, "fp32", tile=tile, overlap=overlap)[0].numpy()

    mask = np.ones(volume.shape[1:], bool)
    _, abrupt, blended = compare_tilings(make, mask, [16], [0.0, 0.5])
    assert (blended.share < 0.03) == agrees
    assert blended.difference < abrupt.difference or not agrees
