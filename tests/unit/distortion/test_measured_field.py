"""Fields from phases and field maps: scale, sign, wraps, noise, edges, the head's position."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from phantom import PE_DIRECTIONS, brain_mask, grid, soft_brain, texture, world_points

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion import measured as module
from bids_gan.distortion.correct import RunImages
from bids_gan.distortion.forward import distort
from bids_gan.distortion.measured import clear_move, correct_by_measurement
from bids_gan.distortion.measurement import (
    HZ,
    Measurement,
    clean_field,
    load_measurement,
    smooth_field,
)
from bids_gan.distortion.phase import phase_to_hz, to_radians
from bids_gan.distortion.units import mm_per_hz
from bids_gan.errors import DataError
from bids_gan.reports.numbers import known_numbers

DELTA_TE = 0.00246
READOUT = 0.05


def hz_at(points, peak=150.0):
    """Field in Hz of world points, above the sinuses strong enough to wrap at `DELTA_TE`."""
    front = np.exp(-(((points - [0.0, 30.0, -10.0]) / 16.0) ** 2).sum(-1) / 2)
    side = np.exp(-(((points - [-25.0, -10.0, 5.0]) / 18.0) ** 2).sum(-1) / 2)
    return peak * (front - 0.4 * side)


def wrap(phase):
    return np.angle(np.exp(1j * phase))


def gre(points, affine, peak=150.0):
    """Wrapped phase with noise outside the head, and magnitude, as a scanner gives them."""
    rng = np.random.default_rng(0)
    mask = brain_mask(points)
    noise = rng.uniform(-np.pi, np.pi, mask.shape)
    phase = np.where(mask, wrap(2 * np.pi * hz_at(points, peak) * DELTA_TE), noise)
    magnitude = soft_brain(points) * (0.3 + texture(points)) + 0.01
    return Measurement(phase, magnitude, affine, DELTA_TE)


@pytest.mark.parametrize(
    ("recorded", "radians"),
    [
        ([-3.1, 0.0, 3.1], [-3.1, 0.0, 3.1]),
        ([0.0, 1.0, 6.2], [0.0, 1.0, 6.2]),
        ([-4096, 0, 4094], [-np.pi, 0, np.pi * 4094 / 4096]),
        ([-2048, 0, 1024], [-np.pi, 0, np.pi / 2]),
        ([0, 2048, 4095], [-np.pi, 0, np.pi * 2047 / 2048]),
        ([0, 1024, 4095], [-np.pi, -np.pi / 2, np.pi * 2047 / 2048]),
        # the least value is missing: the scale must not depend on it
        ([-3900, 0, 4000], [-np.pi * 3900 / 4096, 0, np.pi * 4000 / 4096]),
        ([-3142, 0, 1571], [-3.142, 0, 1.571]),
    ],
)
def test_phase_in_any_unit(recorded, radians):
    np.testing.assert_allclose(to_radians(np.array(recorded), "x"), radians, atol=1e-9)


def test_what_is_no_phase_is_refused_by_name():
    with pytest.raises(DataError, match=r"sub-01_phasediff.*-30 to 30.*radians.*integers"):
        to_radians(np.array([-30.0, 30.0]), "sub-01_phasediff.nii.gz")


@pytest.mark.parametrize("delta_te", [DELTA_TE, -DELTA_TE])
def test_wraps_are_undone_and_the_sign_follows_the_echoes(delta_te):
    shape, affine = grid("RAS", (4.0, 4.0, 4.0))
    points = world_points(shape, affine)
    mask = brain_mask(points)
    phase = 2 * np.pi * hz_at(points, 400.0) * delta_te
    assert np.abs(phase[mask]).max() > 1.5 * np.pi
    found = phase_to_hz(wrap(phase), mask, delta_te)
    np.testing.assert_allclose(found[mask], hz_at(points, 400.0)[mask], atol=1e-6)
    assert not found[~mask].any()


def test_field_of_the_whole_turn_that_unwrapping_cannot_see():
    shape, affine = grid("RAS", (4.0, 4.0, 4.0))
    points = world_points(shape, affine)
    mask, hz = brain_mask(points), hz_at(points)
    found = phase_to_hz(wrap(2 * np.pi * hz * DELTA_TE) + 2 * np.pi, mask, DELTA_TE)
    np.testing.assert_allclose(found[mask], hz[mask], atol=1e-6)


def test_noise_outliers_and_scalp_do_not_reach_the_field():
    shape, affine = grid("RAS", (3.0, 3.0, 3.0))
    points = world_points(shape, affine)
    brain, truth = brain_mask(points), hz_at(points)
    spikes = brain_mask(points * 1.5) & (np.random.default_rng(1).random(shape) < 0.01)
    values = np.where(brain, truth, 400.0) + 300.0 * spikes  # fat outside, spikes inside
    field = clean_field(Measurement(values, np.ones(shape), affine, None), brain)
    margin = [(n - m) // 2 for n, m in zip(field.hz.shape, shape, strict=True)]
    inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
    assert not field.known[inner][spikes].any()
    assert field.known[inner][brain].mean() > 0.95
    error = np.abs(field.hz[inner] - truth)[brain]
    assert error.mean() < 2
    assert error.max() < 25


def test_field_fades_smoothly_beyond_the_brain():
    shape, affine = grid("RAS", (3.0, 3.0, 3.0))
    points = world_points(shape, affine)
    brain = brain_mask(points)
    field = clean_field(Measurement(np.full(shape, 100.0), np.ones(shape), affine, None), brain)
    line = field.hz[:, field.hz.shape[1] // 2, field.hz.shape[2] // 2]
    assert np.abs(np.diff(line)).max() < 15
    assert line.max() == pytest.approx(100, abs=1)
    assert abs(line[0]) < 10


def test_a_gap_is_filled_from_around_it():
    hz = np.full((20, 20, 20), 50.0)
    trust = np.ones(hz.shape)
    trust[8:12, 8:12, 8:12] = 0
    hz[trust == 0] = 1000
    assert (
        np.abs(smooth_field(hz, trust, np.diag([3.0, 3, 3, 1]))[4:16, 4:16, 4:16] - 50).max() < 1
    )


@pytest.mark.parametrize(("brain", "signal"), [(False, 1.0), (True, 0.0)])
def test_field_map_that_does_not_show_the_brain_is_an_error(brain, signal):
    cube = np.ones((20, 20, 20))
    measurement = Measurement(0 * cube, signal * cube, np.eye(4), None, "sub-01_fieldmap.nii.gz")
    with pytest.raises(DataError, match=r"sub-01_fieldmap.*shows nothing.*--sdc synth"):
        clean_field(measurement, cube * brain > 0)


def write(folder, name, data, affine):
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(data, np.float32), affine), path)
    return path


def test_all_kinds_of_files_give_the_same_field(tmp_path):
    shape, affine = grid("LAS", (5.0, 5.0, 5.0))
    points = world_points(shape, affine)
    brain, hz = brain_mask(points), hz_at(points)
    head = write(tmp_path, "magnitude1", soft_brain(points), affine)
    difference = 2 * np.pi * hz * DELTA_TE
    first = wrap(1.0 + 0.5 * difference)
    integers = np.round(wrap(difference) / np.pi * 4096)
    integers.flat[0] = -4096
    echoes = [write(tmp_path, f"phase{n}", wrap(first + n * difference), affine) for n in (0, 1)]
    made = {
        "phasediff": load_measurement(
            [write(tmp_path, "phasediff", integers, affine)], head, (0.005, 0.005 + DELTA_TE), None
        ),
        "phases": load_measurement(echoes, head, (0.005, 0.005 + DELTA_TE), None),
        "swapped": load_measurement(echoes[::-1], head, (0.005 + DELTA_TE, 0.005), None),
    }
    for units, factor in HZ.items():
        path = write(tmp_path, units.replace("/", ""), hz / factor, affine)
        made[units] = load_measurement([path], head, None, units)
    fields = {name: clean_field(one, brain).hz for name, one in made.items()}
    for name, field in fields.items():
        np.testing.assert_allclose(field, fields["Hz"], atol=0.5, err_msg=name)


def test_units_of_a_proton():
    assert {u: round(1 / f, 9) for u, f in HZ.items() if u != "T"} == {
        "Hz": 1.0,
        "rad/s": round(2 * np.pi, 9),
    }
    assert HZ["T"] * 3 == pytest.approx(127.732e6, rel=1e-4)  # a scanner of three tesla


def test_field_map_on_another_grid_than_its_magnitude_is_refused(tmp_path):
    _, affine = grid("RAS", (5.0, 5.0, 5.0))
    data = np.random.default_rng(0).uniform(size=(20, 20, 20))
    head = write(tmp_path, "magnitude", data, affine)
    for other in (data[:-1], data):
        path = write(tmp_path, "fieldmap", other, affine + 0.1 * (other is data))
        with pytest.raises(DataError, match=r"fieldmap.*magnitude.*share one grid"):
            load_measurement([path], head, None, "Hz")


def scene(pe, orientation="RAS", move=None, peak_mm=7.0):
    """Images of a run, its true field in Hz, and the measurement, with the head moved in it."""
    zooms = (3.0, 3.5, 4.0)
    shape, affine = grid(orientation, zooms)
    points = world_points(shape, affine)
    hz = hz_at(points, peak_mm / mm_per_hz(affine, pe, READOUT))
    mask = brain_mask(points)
    fa = soft_brain(points) * texture(points, 1)
    b0 = distort(soft_brain(points) * (1.5 - texture(points)), hz, pe, READOUT)
    t1_shape, t1_affine = grid("RAS", (3.0, 3.0, 3.0))
    there = world_points(t1_shape, t1_affine)

    def image(data, grid=t1_affine):
        return nib.Nifti1Image(np.asarray(data, np.float32), grid)

    tissue = (1 + np.digitize(texture(there), (0.4, 0.6))) * brain_mask(there)
    images = RunImages(
        t1w=image(soft_brain(there) * (0.3 + texture(there))),
        brain_mask=image(brain_mask(there)),
        tissue=image(tissue),
        synth_fa=image(soft_brain(there) * texture(there, 1)),
        b0=image(b0, affine),
        b0_mask=b0 > 0.15,
        fa=distort(fa, hz, pe, READOUT),
    )
    gre_shape, gre_affine = grid("LIA", (4.0, 4.0, 4.0), extent=112.0)
    seen = world_points(gre_shape, gre_affine)
    if move is not None:
        seen = nib.affines.apply_affine(np.linalg.inv(move), seen)
    return images, hz, mask, gre(seen, gre_affine, peak_mm / mm_per_hz(affine, pe, READOUT))


@pytest.fixture
def aligned(monkeypatch):
    """T1w and diffusion are aligned; how that is found has tests of its own."""
    monkeypatch.setattr(module, "align", lambda _: np.eye(4))


@pytest.fixture
def still(aligned, monkeypatch):
    """The head did not move before the field was measured."""
    monkeypatch.setattr(module, "align_head", lambda *_: np.eye(4))


@pytest.fixture
def no_gain(monkeypatch):
    """Agreement with the T1w takes seconds; where it matters, it is computed."""
    monkeypatch.setattr(module, "agreement", lambda *_: {"b0_gain": 0.0, "fa_gain": 0.0})


@pytest.mark.parametrize("orientation", ["RAS", "LIA"])  # right-handed and left-handed
@pytest.mark.parametrize("pe", PE_DIRECTIONS)
def test_field_is_right_in_any_direction_and_orientation(pe, orientation, still, no_gain):
    images, truth, mask, measurement = scene(pe, orientation)
    found = correct_by_measurement(measurement, images, pe, READOUT)
    error = np.abs(found.hz - truth)[mask] * mm_per_hz(images.b0.affine, pe, READOUT)
    assert np.median(error) < 0.15
    assert np.percentile(error, 95) < 0.8
    assert found.quality["measured_share"] > 0.8
    clean = images.corrected(truth, pe, READOUT).b0.get_fdata()
    after = images.corrected(found.hz, pe, READOUT).b0.get_fdata()
    before = images.b0.get_fdata()
    assert np.abs(after - clean)[mask].mean() < 0.25 * np.abs(before - clean)[mask].mean()


def test_wrong_sign_is_refused(still):
    images, _, _, measurement = scene("j")
    quality = correct_by_measurement(measurement, images, "j", READOUT).quality
    assert (quality["accepted"], quality["reasons"]) == (True, [])
    assert quality["measured_fa_gain"] > 0.01
    for name in ("measured_b0", "measured_fa"):
        before, after, gain = (quality[f"{name}_{part}"] for part in ("before", "after", "gain"))
        assert gain == pytest.approx(after - before)
        assert -1 < before < 1
        assert -1 < after < 1
    assert set(quality) - {"accepted", "reasons"} <= set(known_numbers())
    wrong = replace(measurement, values=-measurement.values)
    refused = correct_by_measurement(wrong, images, "j", READOUT).quality
    assert refused["accepted"] is False
    assert "its sign" in refused["reasons"][-1]


def test_field_moves_with_the_head(aligned, no_gain):
    move = rigid_matrix(np.r_[np.deg2rad([3.0, -2.0, 4.0]), 4.0, 7.0, -3.0], np.zeros(3))
    images, truth, mask, measurement = scene("j", move=move)
    found = correct_by_measurement(measurement, images, "j", READOUT)
    scale = mm_per_hz(images.b0.affine, "j", READOUT)
    error = np.abs(found.hz - truth)[mask] * scale
    assert np.median(error) < 0.3
    assert found.quality["measured_translation_mm"] == pytest.approx(8.6, abs=1.5)
    there = world_points(measurement.values.shape, measurement.affine)
    seen = brain_mask(nib.affines.apply_affine(np.linalg.inv(move), there))
    by_headers = (
        np.abs(clean_field(measurement, seen).on_grid(images.b0, np.eye(4)) - truth)[mask] * scale
    )
    assert error.mean() < 0.5 * by_headers.mean()


def test_field_of_another_part_of_the_head_is_refused(still, no_gain):
    images, _, _, measurement = scene("j")
    upper = measurement.magnitude.shape[1] // 3  # of the axis from top to bottom
    part = replace(
        measurement,
        values=measurement.values[:, :upper],
        magnitude=measurement.magnitude[:, :upper],
    )
    quality = correct_by_measurement(part, images, "j", READOUT).quality
    assert quality["measured_share"] < 0.5
    assert "measured in" in quality["reasons"][0]


def test_only_a_clear_and_possible_move_is_believed():
    shape, affine = grid("RAS", (3.0, 3.0, 3.0))
    brain = brain_mask(world_points(shape, affine))
    for mm, believed in ((2.0, False), (5.0, True), (60.0, False)):
        move = rigid_matrix(np.r_[0, 0, 0, 0, mm, 0], np.zeros(3))
        found = clear_move(move, brain, affine)
        np.testing.assert_allclose(found, move if believed else np.eye(4))
