"""Choice of the T1w and reuse of its brain mask."""

import json

import pytest
from bids_tree import image

from bids_gan.bids.anatomical import choose_image, reusable_brain_mask

ISOTROPIC = (1.0, 1.0, 1.0)


def choose(tmp_path, candidates):
    images = {}
    for name, (entities, zooms) in candidates.items():
        path = tmp_path / name
        if zooms is None:
            path.touch()
        else:
            image(zooms=zooms).to_filename(path)
        images[path] = entities
    path, reason, others = choose_image(images)
    return path.name, reason, [other.name for other in others]


@pytest.mark.parametrize(
    ("candidates", "chosen", "reason"),
    [
        ({"a.nii.gz": ({}, None)}, "a.nii.gz", "the only T1w"),
        (
            {
                "rec.nii.gz": ({"reconstruction": "x"}, (0.5, 0.5, 0.5)),
                "b.nii.gz": ({}, ISOTROPIC),
            },
            "b.nii.gz",
            "additional reconstructions",
        ),
        (
            {"a.nii.gz": ({}, (0.5, 0.5, 3)), "b.nii.gz": ({}, ISOTROPIC)},
            "b.nii.gz",
            "finest voxels (1 x 1 x 1 mm)",
        ),
        (
            {"a.nii.gz": ({}, (0.5, 1, 1)), "b.nii.gz": ({}, ISOTROPIC)},
            "b.nii.gz",
            "most isotropic voxels",
        ),
        (
            {"a.nii.gz": ({"run": 2}, ISOTROPIC), "b.nii.gz": ({"run": 1}, ISOTROPIC)},
            "b.nii.gz",
            "lowest run number",
        ),
        ({"b.nii.gz": ({}, ISOTROPIC), "a.nii.gz": ({}, ISOTROPIC)}, "a.nii.gz", "by name"),
        ({"a.nii.gz": ({}, None), "b.nii.gz": ({}, (2, 2, 2))}, "b.nii.gz", "finest voxels"),
    ],
)
def test_rule(tmp_path, candidates, chosen, reason):
    name, why, others = choose(tmp_path, candidates)
    assert name == chosen
    assert reason in why
    assert sorted([name, *others]) == sorted(candidates)


@pytest.fixture
def t1w(tmp_path):
    path = tmp_path / "sub-01_T1w.nii.gz"
    image().to_filename(path)
    return path


def put_mask(tmp_path, name="sub-01/anat/sub-01_desc-brain_mask", mask=None, sources=None):
    root = tmp_path / "derived"
    path = root / f"{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    (image() if mask is None else mask).to_filename(path)
    if sources is not None:
        (root / f"{name}.json").write_text(json.dumps({"Sources": sources}))
    return path, [("old", root)]


def test_nothing_to_search(t1w):
    assert reusable_brain_mask(t1w, "01", None, []) == (None, "computed")


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("sub-01/anat/sub-01_desc-brain_mask", None),
        ("sub-01/anat/sub-01_space-T1w_desc-brain_mask", None),
        ("sub-01/ses-a/anat/sub-01_ses-a_desc-brain_mask", "a"),
        ("sub-01/anat/sub-01_desc-brain_mask", "a"),
    ],
)
def test_found(tmp_path, t1w, name, session):
    path, derivatives = put_mask(tmp_path, name)
    assert reusable_brain_mask(t1w, "01", session, derivatives) == (path, "reused from old")


def test_other_axis_direction_is_the_same_grid(tmp_path, t1w):
    path, derivatives = put_mask(tmp_path, mask=image(flip=True))
    assert reusable_brain_mask(t1w, "01", None, derivatives)[0] == path


def test_sources_must_name_the_t1w(tmp_path, t1w):
    path, derivatives = put_mask(tmp_path, sources=["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"])
    assert reusable_brain_mask(t1w, "01", None, derivatives)[0] == path
    put_mask(tmp_path, sources=["bids:raw:sub-01/anat/sub-01_run-2_T1w.nii.gz"])
    mask, reason = reusable_brain_mask(t1w, "01", None, derivatives)
    assert mask is None
    assert "was made from sub-01_run-2_T1w.nii.gz" in reason


@pytest.mark.parametrize(
    ("name", "mask", "words"),
    [
        ("sub-02/anat/sub-02_desc-brain_mask", None, "old holds none for sub-01"),
        ("sub-01/anat/sub-01_space-MNI_desc-brain_mask", None, "old holds none for sub-01"),
        ("sub-01/anat/sub-01_desc-brain_mask", image((4, 5, 7)), "other voxels than sub-01_T1w"),
        ("sub-01/anat/sub-01_desc-brain_mask", image(zooms=(1, 1, 2)), "other voxels"),
    ],
)
def test_not_reused_says_why(tmp_path, t1w, name, mask, words):
    _, derivatives = put_mask(tmp_path, name, mask)
    found, reason = reusable_brain_mask(t1w, "01", None, derivatives)
    assert found is None
    assert reason.startswith("computed: ")
    assert words in reason
