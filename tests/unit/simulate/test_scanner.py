"""Scanners differ in what their protocols say, and agree on the person."""

import numpy as np
import pytest
import torch
from head_map import FLUID, GREY, WHITE, nested_tissues

from bids_gan.simulate.physics import Pulses
from bids_gan.simulate.scanner import (
    ScannedBrains,
    Scanner,
    ScannerPatches,
    ScanPatches,
    whole_scan,
)

MPRAGE = Pulses("MPRAGE", 2.3, 0.003, 0.9, 9, 0.007, 176)
SPGR = Pulses("SPGR", 0.022, 0.0092, flip=30)


def test_contrast_is_that_of_the_protocol():
    a, b = (
        one.contrast(np.random.default_rng(0), spread=0.0)
        for one in (Scanner(3.0, MPRAGE), Scanner(1.5, SPGR))
    )
    assert a[FLUID] < a[GREY] < a[WHITE] == pytest.approx(1)
    assert b[FLUID] < b[GREY] < b[WHITE] == pytest.approx(1)
    # grey and white matter lie closer to each other in the second
    assert b[GREY] > a[GREY] + 0.1


def test_person_is_the_same_in_both_scanners():
    """Tissues above the mean of people in one scanner are above it in the other."""
    scanners = Scanner(3.0, MPRAGE), Scanner(1.5, MPRAGE)
    grey = [
        [one.contrast(np.random.default_rng(person))[GREY] for person in range(30)]
        for one in scanners
    ]
    assert np.std(grey[0]) > 0.005
    assert np.corrcoef(grey)[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_equal_scanners_give_equal_images_but_for_noise(seed):
    still = Scanner(3.0, MPRAGE, slice_mm=1.5)
    patches = ScannerPatches([nested_tissues()], 16, 1, [still, still], seed)
    first, second = patches.batch(0)["contrasts"][0]
    assert torch.equal(first, second)
    noisy = Scanner(3.0, MPRAGE, slice_mm=1.5, noise=0.1)
    patches = ScannerPatches([nested_tissues()], 16, 1, [still, noisy], seed)
    first, second = patches.batch(0)["contrasts"][0]
    assert (first - second).abs().max() > 0.05


def test_noise_coil_and_slices_are_as_strong_as_said():
    flat = torch.ones(1, 32, 32, 32)

    def scan(image, seed=0, **options):
        return Scanner(3.0, MPRAGE, **options).scan(image, np.random.default_rng(seed))

    assert torch.allclose(scan(flat), flat, atol=1e-6)
    assert float(scan(flat, noise=0.1).std()) == pytest.approx(0.1, rel=0.05)
    fields = torch.stack([scan(flat, seed, bias=0.2).log() for seed in range(200)])
    assert float(fields[:, 0, 0, 0, 0].std()) == pytest.approx(0.2, rel=0.2)
    line = torch.zeros(1, 32, 32, 32)
    line[..., 15] = 1
    wide = scan(line, blur_mm=0.1, slice_mm=4)
    assert 0.2 < float(wide.amax()) < 0.26
    # across the slices alone
    turned = scan(line.transpose(1, 3).contiguous(), blur_mm=0.1, slice_mm=4)
    assert float(turned.amax()) == pytest.approx(1, abs=0.01)


def test_whole_brains_are_in_the_middle():
    scanners = [Scanner(3.0, MPRAGE), Scanner(1.5, SPGR)]
    batch = ScannedBrains([nested_tissues()], 48, 1, scanners).batch(0)
    assert batch["contrasts"].shape == (1, 2, 48, 48, 48)
    assert not (batch["contrasts"] * (1 - batch["mask"])).any()
    # all of it is there
    border = batch["mask"].clone()
    border[..., 1:-1, 1:-1, 1:-1] = 0
    assert batch["mask"].sum() > 20**3
    assert not border.any()


def test_whole_scan_ends_where_the_brain_does():
    scan = whole_scan(nested_tissues(), [Scanner(3.0, MPRAGE), Scanner(1.5, SPGR)])
    assert scan["contrasts"].shape == (2, *scan["labels"].shape)
    mask = scan["mask"][0]
    for axis in range(3):
        assert mask.select(axis, 0).any()
        assert mask.select(axis, -1).any()


def ramp_scan(size=20):
    """Image that tells where each voxel was: 1 and more to the right."""
    image = 1 + torch.arange(size).float()[:, None, None].expand(size, size, size)
    mask = torch.zeros(size, size, size)
    mask[4:16, 4:16, 4:16] = 1
    return torch.stack([image, mask, 2 * mask]).half()


def test_patches_of_scans_are_parts_of_them_as_they_are_or_mirrored():
    batch = ScanPatches([ramp_scan()], 9, 60).batch(0)
    assert batch["contrasts"].shape == (60, 1, 9, 9, 9)
    assert batch["labels"].dtype == torch.int64
    assert (batch["mask"][..., 4, 4, 4] == 1).all()
    assert torch.equal(batch["labels"], 2 * batch["mask"][:, 0].long())
    lines = batch["contrasts"][:, 0, :, 4, 4]
    slopes = lines.diff(dim=1)[(lines > 0).all(1)].unique(dim=0)
    # nothing between two voxels, either direction, nothing else
    assert slopes.tolist() == [[-1] * 8, [1] * 8]


def test_patches_of_scans_are_those_of_the_step():
    patches = ScanPatches([ramp_scan(), ramp_scan()], 9, 2, seed=3)
    first, again, second = patches.batch(0), patches.batch(0), patches.batch(1)
    assert torch.equal(first["contrasts"], again["contrasts"])
    assert not torch.equal(first["contrasts"], second["contrasts"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scanner(7.0, MPRAGE), "7.0 T is not one of 1.5, 3.0"),
        (lambda: Scanner(3.0, SPGR, slice_mm=0.5), "slice_mm = 0.5"),
        (lambda: Pulses("MPRGE", 2.3, 0.003), "'MPRGE' is not one of SPGR, MPRAGE, SE, IR"),
        (lambda: Pulses("MPRAGE", 2.3, 0.003, 0.9), "MPRAGE needs echo_spacing, n_echoes"),
        (lambda: Scanner(3.0, Pulses("MPRAGE", 2.3, 0.003, 0.1, 9, 0.007, 176)), "do not fit"),
    ],
)
def test_impossible_scanners_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
