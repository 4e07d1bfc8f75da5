"""Comparison of images with a truth: cases, baselines, tables, figure, refusals."""

import csv
import io

import nibabel as nib
import numpy as np
import pytest
from phantom import brain_mask, grid, texture, world_points

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.cli.model import main
from bids_gan.errors import DataError, UsageError
from bids_gan.evaluate import baselines
from bids_gan.evaluate.case import BLOCKS, Case, average_onto, labels_on, without_border
from bids_gan.evaluate.figure import draw
from bids_gan.evaluate.people import read_study
from bids_gan.evaluate.synthesis import compare
from bids_gan.evaluate.table import markdown, people_tsv, summary_tsv
from bids_gan.evaluate.write import write_evaluation


def make_case(name="sub-01", seed=0, orientation="LIA"):
    """A person of a formula; the truth is a falling curve of the T1w, on its own oblique grid."""
    shape, affine = grid("RAS", (3, 3, 3), 108)
    points = world_points(shape, affine)
    t1w = texture(points, seed).astype(np.float32)
    mask = brain_mask(points)
    tissue = np.where(mask, 1 + np.digitize(t1w, [0.35, 0.6]), 0).astype(np.uint8)
    white = (tissue == 3).astype(np.float32)
    anatomy = Anatomy(t1w, mask, tissue, tissue, white, affine, np.eye(4))
    truth_shape, truth_affine = grid(orientation, (3, 4, 5), 104)
    points = world_points(truth_shape, truth_affine)
    truth = (1 - texture(points, seed)).astype(np.float32) ** 2
    inside = brain_mask(points)
    classes = np.where(inside, 1 + (truth < 0.2), 0)
    regions = np.where(inside, 1 + 3 * (points[..., 2] > 5), 0)
    return Case(
        name, anatomy, truth, truth_affine, np.eye(4), inside, classes, regions, dict(BLOCKS)
    )


@pytest.fixture(scope="module")
def results():
    training = baselines.scored_voxels([make_case("sub-03", 3)])
    return [compare(make_case(f"sub-0{n}", n), "FA", [], None, training) for n in (1, 2)]


def test_slices_are_averaged_over_their_thickness_once():
    """A ramp keeps its mean; a wave as long as the slice vanishes; thin axes stay."""
    shape, affine = (24, 24, 96), np.diag([1.0, 1, 1, 1])
    k = np.arange(96)
    image = np.broadcast_to(k + 10 * np.sin(2 * np.pi * k / 6), shape).astype(np.float32)
    image = image + 100 * (np.arange(24)[:, None, None] == 12)
    thick = np.diag([1.0, 1, 6, 1])
    thick[2, 3] = 8.5  # centre of the first slice, which covers voxels 6 to 11
    found = average_onto(image, affine, (24, 24, 12), thick, np.eye(4))
    expected = 8.5 + 6 * np.arange(12)
    np.testing.assert_allclose(found[3, 5], expected, atol=1e-3)
    np.testing.assert_allclose(found[12, 5], expected + 100, atol=1e-3)
    assert not np.allclose(image[3, 5, 8:80:6], expected, atol=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_may_be_the_thick_one(axis):
    sizes = [2.0, 2.0, 2.0]
    sizes[axis] = 6.0
    grid_affine = np.diag([*sizes, 1])
    image = np.indices((30, 30, 30))[axis].astype(np.float32)
    shape = [10, 10, 10]
    shape[axis] = 4
    found = average_onto(image, np.eye(4), tuple(shape), grid_affine, np.eye(4))
    middle = [4, 4, 4]
    middle[axis] = slice(1, 4)
    np.testing.assert_allclose(found[tuple(middle)], [6, 12, 18], atol=0.01)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_mask_of_another_grid_is_brought_to_the_truth(tmp_path, codes):
    shape, affine = grid(codes, (2, 2, 3), 120)
    mask = brain_mask(world_points(shape, affine)).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, affine), tmp_path / "mask.nii.gz")
    shape, affine = grid("LIA", (3, 4, 5), 104)
    truth = nib.Nifti1Image(np.zeros(shape, np.float32), affine)
    found = labels_on(truth, tmp_path / "mask.nii.gz")
    expected = brain_mask(world_points(shape, affine))
    assert (found != expected).mean() < 0.02
    assert set(np.unique(found)) == {0, 1}


def test_histogram_matching_gives_the_histogram_and_keeps_the_order():
    rng = np.random.default_rng(0)
    image, truth = rng.normal(size=(20, 20, 20)), rng.gamma(2, size=8000)
    image[:5] = 0.25  # many equal values
    mask = np.ones(image.shape, bool)
    mask[:5] = False
    matched = baselines.match_histogram(image, mask, baselines.Voxels(truth, truth))
    levels = [0.1, 0.5, 0.9]
    np.testing.assert_allclose(
        np.quantile(matched[mask], levels), np.quantile(truth, levels), rtol=0.02
    )
    order = np.argsort(image[mask])
    assert (np.diff(matched[mask][order]) >= 0).all()


def test_linear_regression_finds_the_line():
    x = np.linspace(0, 1, 50)
    fitted = baselines.linear_regression(np.array([2.0]), baselines.Voxels(x, 0.3 - 2 * x))
    assert fitted == pytest.approx([-3.7])


def test_baselines_are_ranked_as_the_truth_was_made(results):
    """The truth falls with intensity: regression finds that, a rising histogram curve cannot."""
    for result in results:
        line = result.scores["linear regression on intensity, fitted to this very person"]
        other = result.scores["linear regression on intensity, fitted to training people"]
        matched = result.scores["histogram matching, fitted to this very person"]
        constant = result.scores["constant"]
        assert line["r"] > 0.9
        assert other["psnr_raw"] > constant["psnr_raw"] + 3
        assert line["psnr_raw"] == pytest.approx(line["psnr"])
        assert line["psnr_raw"] >= other["psnr_raw"]
        assert matched["r"] < -0.8
        assert matched["mae_raw"] > 2 * line["mae_raw"]
        assert np.isnan(constant["r"])
        assert {"mae_csf", "mae_grey", "mae_back_lower", "mae_back_upper"} <= set(line)


def test_tables_hold_every_image_with_its_interval(results):
    text = markdown(results, "FA")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(results[0].scores) == 6
    assert all(row.count("|") == rows[0].count("|") for row in rows)
    assert "2 people" in text
    assert "Data range 1" in text
    assert "[" in rows[0]
    assert "[" not in markdown(results[:1], "FA").splitlines()[2]
    table = list(csv.DictReader(io.StringIO(summary_tsv(results)), delimiter="\t"))
    people = list(csv.DictReader(io.StringIO(people_tsv(results)), delimiter="\t"))
    assert {row["image"] for row in table} == set(results[0].scores)
    values = [
        float(p["value"]) for p in people if (p["image"], p["measure"]) == ("constant", "mae")
    ]
    row = next(r for r in table if (r["image"], r["measure"]) == ("constant", "mae"))
    assert float(row["mean"]) == pytest.approx(np.mean(values), rel=1e-4)
    assert float(row["low"]) == pytest.approx(min(values), rel=1e-4)


def test_figure_shows_the_left_of_the_person_on_the_left(results):
    """Whatever the storage order: a bright left half is the left half of the picture."""
    from dataclasses import replace

    from bids_gan.evaluate.figure import _View

    for orientation in ("LIA", "PSR"):
        case = make_case(orientation=orientation)
        x = world_points(case.truth.shape, case.affine)[..., 0]
        view = _View.of(case.mask, case.affine)
        axial, coronal, _ = view.cuts((x < 0).astype(float))
        for cut in (axial, coronal):
            half = cut.shape[1] // 2
            assert cut[:, : half - 1].min() == 1
            assert cut[:, half + 1 :].max() == 0
    assert draw(results[0], "FA") == draw(replace(results[0]), "FA")


def test_border_is_measured_in_millimetres():
    mask = np.zeros((20, 20, 20), bool)
    mask[2:18, 2:18, 2:18] = True
    inner = without_border(mask, np.array([1.0, 2.0, 5.0]), 3.0)
    inside = [np.flatnonzero(inner.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert [(i[0], i[-1]) for i in inside] == [(5, 14), (3, 16), (2, 17)]


def test_evaluation_is_written_whole(results, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no figure")

    monkeypatch.setattr("bids_gan.evaluate.write.draw", broken)
    with pytest.raises(RuntimeError, match="no figure"):
        write_evaluation(results, "FA", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    written = write_evaluation(results, "FA", tmp_path / "out")
    assert {p.name for p in written} == {p.name for p in (tmp_path / "out").iterdir()}
    assert {"summary.md", "summary.tsv", "people.tsv", "sub-01_FA.png"} <= {
        p.name for p in written
    }


PERSON = '[[person]]\nname = "a"\nt1w = "t1.nii"\ntruth = "fa.nii"\n'


def test_people_file(tmp_path):
    for name in ("t1.nii", "fa.nii", "mean.nii"):
        (tmp_path / name).touch()
    path = tmp_path / "people.toml"
    path.write_text(
        'target = "FA"\ntemplate = "mean.nii"\nregister = true\nmodels = ["t1w-to-fa"]\n'
        + PERSON
        + PERSON.replace("person", "training").replace('"a"', '"b"')
    )
    study = read_study(path)
    assert study.people[0].t1w == tmp_path / "t1.nii"
    assert study.training[0].name == "b"
    assert study.register
    assert study.models == ("t1w-to-fa",)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ('target = "FA"\n', UsageError, "one \\[\\[person\\]\\]"),
        ('target = "FA"\nmodel = "x"\n' + PERSON, UsageError, "known are .*models"),
        ('target = "FA"\n' + PERSON + "age = 3\n", UsageError, "found age"),
        ("target = FA", UsageError, "not valid TOML"),
        ('target = "FA"\nborder_mm = "3"\n' + PERSON, UsageError, "border_mm cannot be '3'"),
        ('target = "FA"\nmodels = 3\n' + PERSON, UsageError, "models cannot be 3"),
        ('target = "FA"\nmodels = [3]\n' + PERSON, UsageError, r"models cannot be \[3\]"),
        ('target = "FA"\nperson = 3\n', UsageError, "person cannot be 3"),
        ('target = "FA"\n' + PERSON + "mask = 3\n", UsageError, "mask of a person must be"),
        ("target = " + "[" * 2000, UsageError, "nested too deeply"),
        ('target = "FA"\nborder_mm = -1\n' + PERSON, UsageError, "border_mm = -1"),
        ('target = "FA"\n' + PERSON * 2, UsageError, "a: named more than once"),
        ('target = "FA"\n' + PERSON, DataError, r"fa\.nii: no such file; it is the truth of a"),
    ],
)
def test_faulty_people_file_is_refused(tmp_path, text, kind, message):
    (tmp_path / "t1.nii").touch()
    if kind is UsageError:
        (tmp_path / "fa.nii").touch()
    path = tmp_path / "people.toml"
    path.write_text(text)
    with pytest.raises(kind, match=message):
        read_study(path)


def save(path, data):
    nib.save(nib.Nifti1Image(np.asarray(data, np.float32), np.eye(4)), path)
    return str(path)


def test_missing_half_of_a_pair_leaves_nothing_behind(tmp_path, capsys):
    t1w = save(tmp_path / "t1.nii", np.random.default_rng(0).random((20, 20, 20)))
    output = tmp_path / "out"
    absent = str(tmp_path / "fa.nii")
    assert main(["evaluate", t1w, absent, "--output", str(output)]) == 65
    assert absent in capsys.readouterr().err
    assert not output.exists()


def test_nan_in_the_truth_is_an_error_before_anything_is_written(tmp_path, capsys):
    data = np.random.default_rng(0).random((20, 20, 20))
    t1w = save(tmp_path / "t1.nii", data)
    data[0, 0, 0] = np.nan
    truth = save(tmp_path / "fa.nii", data)
    output = tmp_path / "out"
    assert main(["evaluate", t1w, truth, "--output", str(output)]) == 65
    assert f"{truth}: 1 of 8000 voxels are NaN" in capsys.readouterr().err
    assert not output.exists()


def test_evaluate_says_what_it_needs(capsys):
    assert main(["evaluate"]) == 2
    assert "--people" in capsys.readouterr().err
    assert main(["evaluate", "--people", "absent.toml"]) == 2
    assert "absent.toml: no such file" in capsys.readouterr().err


def test_a_model_of_another_contrast_is_refused(tmp_path, capsys):
    image = save(tmp_path / "a.nii", np.random.default_rng(0).random((20, 20, 20)))
    assert main(["evaluate", image, image, "--target", "T2w", "--model", "t1w-to-fa"]) == 69
    assert "makes FA, T2w is evaluated" in capsys.readouterr().err
