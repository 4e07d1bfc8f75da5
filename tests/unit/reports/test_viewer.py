import base64
import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.bids.outputs import output_path
from bids_gan.geometry import resample
from bids_gan.itk import write_affine
from bids_gan.reports.numbers import DATA
from bids_gan.reports.viewer import LEVELS, Layer, _run_layers, embed

SHAPE = (20, 24, 18)


def turned(degrees, shift):
    """Rigid world-to-world matrix about the vertical."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def smooth(points):
    """A smooth function of world coordinates in mm, the same wherever it is sampled."""
    return 100 + points @ [0.4, -0.7, 0.9]


def on_grid(affine, world_of):
    points = np.moveaxis(np.indices(SHAPE), 0, -1)
    return smooth(nib.affines.apply_affine(world_of @ affine, points))


def unpack(record):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(record["nifti"])))


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_image_of_another_world_and_orientation_lands_in_place(tmp_path, codes):
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:14, 7:17, 5:13] = 1
    mask = nib.Nifti1Image(mask, np.diag([2.0, 2, 2, 1]))
    to_source = turned(20, [3, -2, 4])  # world of the T1w -> world of the image
    affine = to_source @ mask.affine
    image = nib.Nifti1Image(on_grid(affine, np.linalg.inv(to_source)), affine)
    image = image.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(codes)
        )
    )
    path = tmp_path / "image.nii"
    nib.save(image, path)
    record = embed(Layer("x", path, (0.0, 200.0), to_source=to_source), mask)
    found = unpack(record)
    assert found.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(found.affine) == ("R", "A", "S")
    points = np.array([[16.0, 20, 14], [20, 28, 20], [24, 22, 16]])
    voxels = nib.affines.apply_affine(np.linalg.inv(found.affine), points).round().astype(int)
    seen = found.get_fdata()[tuple(voxels.T)]
    exact = smooth(nib.affines.apply_affine(found.affine, voxels))
    assert seen == pytest.approx(exact, abs=200 / (LEVELS - 1))


def test_fine_images_are_coarsened_and_field_is_symmetric_and_masked(tmp_path):
    mask = np.zeros((60, 60, 60), np.uint8)
    mask[20:40, 20:40, 20:40] = 1
    mask = nib.Nifti1Image(mask, np.diag([0.5, 0.5, 0.5, 1]))
    path = tmp_path / "field.nii"
    nib.save(nib.Nifti1Image(np.full(mask.shape, -30.0, np.float32), mask.affine), path)
    record = embed(Layer("field", path, colours="field"), mask)
    assert (record["low"], record["high"]) == (-30, 30)
    found = unpack(record)
    assert nib.affines.voxel_sizes(found.affine) == pytest.approx([1, 1, 1])
    assert found.get_fdata()[0, 0, 0] == pytest.approx(0, abs=1e-5)  # clear, not the faintest hue
    assert found.get_fdata().min() == pytest.approx(-30)


def test_field_of_zero_is_clear_outside_the_brain_only(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:16, 4:20, 4:14] = 1
    hz = np.linspace(-50, 50, SHAPE[1])[None, :, None] * np.ones(SHAPE)
    hz[10] = 0
    path = tmp_path / "field.nii"
    nib.save(nib.Nifti1Image(hz.astype(np.float32), np.eye(4)), path)
    mask = nib.Nifti1Image(mask, np.eye(4))
    found = unpack(embed(Layer("field", path, colours="field"), mask))
    inside = resample(mask.get_fdata(), mask.affine, found.shape, found.affine, order=0) > 0
    step = 100 / (LEVELS - 1)
    assert np.abs(found.get_fdata()[inside]).min() > 0.5 * step
    assert np.abs(found.get_fdata()[inside]).min() < 1.5 * step
    assert found.get_fdata()[~inside] == pytest.approx(0, abs=1e-4)


def test_noise_of_a_scanner_costs_little(tmp_path):
    """Noise is what volumes weigh: 3 % of the brightest tissue, as a T1w of 1 mm has."""
    shape = (60, 70, 60)
    anatomy = np.linspace(0.2, 0.9, shape[1])[None, :, None].round(1)
    noisy = anatomy + np.random.default_rng(0).normal(0, 0.03, shape)
    path = tmp_path / "t1w.nii"
    nib.save(nib.Nifti1Image(noisy.astype(np.float32), np.eye(4)), path)
    mask = nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4))
    record = embed(Layer("T1w", path, (0.0, 1.0)), mask)
    found = np.asarray(unpack(record).dataobj)
    assert len(record["nifti"]) < 0.52 * found.size
    assert len(np.unique(found)) > 60


@pytest.mark.parametrize("route", ["synth", "reverse-pe", "measured"])
def test_field_is_shown_whatever_it_was_estimated_from(project, route):
    run = project.make_run("AP", route=route)
    rigid, field = (
        project.out / output_path(key, run.entities, route) for key in ("dwi_to_t1w", "fieldmap")
    )
    rigid.parent.mkdir(parents=True, exist_ok=True)
    write_affine(np.eye(4), rigid)
    assert field in [layer.path for layer in _run_layers(project.settings, run)]


def test_vendored_viewer_has_its_licences():
    licences = (Path(DATA) / "niivue" / "LICENSES.txt").read_text(encoding="utf-8")
    for name in ("niivue", "fflate", "gl-matrix", "nifti-reader-js", "zarrita", "numcodecs"):
        assert re.search(rf"^@?[\w/]*{name}", licences, re.MULTILINE), name
