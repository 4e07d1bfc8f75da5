"""Index of the dataset, filter file, and what is said of datasets that cannot be read."""

import json

import pytest
from bids_tree import diffusion, write_dataset
from sqlalchemy import text

from bids_gan.bids.queries import find_images, load_filters, open_layout
from bids_gan.errors import DataError, UsageError
from bids_gan.settings import Settings

CONTENT = {
    "sub-01/anat/sub-01_T1w.nii.gz": None,
    "sub-01/anat/sub-01_acq-x_T1w.nii.gz": None,
    "sub-01/anat/sub-01_acq-y_T1w.nii": None,
    **diffusion("sub-01/dwi/sub-01_dir-AP"),
    "derivatives/old/sub-01/anat/sub-01_desc-old_T1w.nii.gz": None,
    "sourcedata/sub-01/anat/sub-01_T1w.nii.gz": None,
    "out/sub-01/anat/sub-01_T1w.nii.gz": None,
}


def t1w_names(root, content=None, **given):
    if content is not None:
        given["bids_filter_file"] = root / "filter.json"
        (root / "filter.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
    settings = Settings(root, root / "out", **given)
    query = load_filters(settings)["t1w"]
    return [image.filename for image in find_images(open_layout(settings), query, "01")]


@pytest.fixture
def root(tmp_path):
    return write_dataset(tmp_path / "data", CONTENT)


def test_raw_images_only(root):
    assert t1w_names(root) == [
        "sub-01_T1w.nii.gz",
        "sub-01_acq-x_T1w.nii.gz",
        "sub-01_acq-y_T1w.nii",
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"acquisition": "x"}, ["sub-01_acq-x_T1w.nii.gz"]),
        ({"acquisition": ["x", "y"]}, ["sub-01_acq-x_T1w.nii.gz", "sub-01_acq-y_T1w.nii"]),
        ({"acquisition": None}, ["sub-01_T1w.nii.gz"]),
        ({"acquisition": "Query.NONE"}, ["sub-01_T1w.nii.gz"]),
        ({"acquisition": "Query.ANY", "extension": ".nii"}, ["sub-01_acq-y_T1w.nii"]),
    ],
)
def test_filter(root, query, names):
    assert t1w_names(root, {"t1w": query}) == names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not valid JSON"),
        ("[" * 2000, "nested too deeply"),
        ({"bold": {}}, "not accepted: bold"),
        ([1], "must map 't1w' and 'dwi'"),
        ({"t1w": "x"}, "must map 't1w' and 'dwi'"),
        ({"t1w": {"acq": "x"}}, "'acq' is not a recognized entity"),
        ({"t1w": {"run": "Query.SOME"}}, "pybids knows no Query.SOME"),
    ],
)
def test_filter_refusals(root, content, words):
    with pytest.raises(UsageError) as error:
        t1w_names(root, content)
    assert "--bids-filter-file" in str(error.value)
    assert words in str(error.value)


def test_index_is_kept_and_used(root, tmp_path):
    database = tmp_path / "index"
    before = t1w_names(root, bids_database_dir=database, participant_label=("01",))
    assert list(database.iterdir())
    (root / "sub-01/anat/sub-01_acq-z_T1w.nii.gz").touch()
    assert t1w_names(root, bids_database_dir=database) == before
    assert len(t1w_names(root)) == len(before) + 1


def test_missing_description(root):
    (root / "dataset_description.json").unlink()
    with pytest.raises(DataError, match=r"dataset_description\.json"):
        t1w_names(root)


def test_broken_json_is_named(root):
    (root / "sub-01/dwi/sub-01_dir-AP_dwi.json").write_text("{,}")
    with pytest.raises(DataError, match=r"sub-01_dir-AP_dwi\.json"):
        t1w_names(root)


@pytest.mark.parametrize("kept", [False, True])
def test_files_of_a_person_are_found_without_going_through_everybodys(root, tmp_path, kept):
    given = {"bids_database_dir": tmp_path / "index"} if kept else {}
    settings = Settings(root, root / "out", **given)
    question = "SELECT * FROM tags WHERE entity_name = 'subject' AND _value = '\"01\"'"
    for _ in range(2):  # the second time a kept index is opened as it is
        session = open_layout(settings).connection_manager.session
        steps = session.execute(text(f"EXPLAIN QUERY PLAN {question}")).all()
        assert "SEARCH tags USING INDEX tag_of_entity" in str(steps)
