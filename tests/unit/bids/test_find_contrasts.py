"""Which contrasts people have; what a contrast agent changes."""

import pytest
from bids_tree import image, write_dataset

from bids_gan.bids.contrasts import check_wanted, find_contrasts
from bids_gan.bids.queries import open_layout
from bids_gan.errors import UsageError
from bids_gan.settings import Settings

MODEL = ("T1w", "T2w", "PDw", "FLAIR")


def look_up(root, content, **given):
    settings = Settings(write_dataset(root / "data", content), root / "out", **given)
    return find_contrasts(open_layout(settings), settings, MODEL)


def names(session):
    return {contrast: path.name for contrast, path in session.images.items()}


def test_every_person_and_session_is_looked_at(tmp_path):
    found = look_up(
        tmp_path,
        {
            "sub-01/anat/sub-01_FLAIR.nii.gz": None,
            "sub-01/anat/sub-01_T1w.nii": None,
            "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii.gz": None,
            "sub-02/ses-b/anat/sub-02_ses-b_PDw.nii.gz": None,
            "sub-03/dwi/sub-03_dwi.nii.gz": None,
        },
    )
    assert {session.label: names(session) for session in found} == {
        "sub-01": {"T1w": "sub-01_T1w.nii", "FLAIR": "sub-01_FLAIR.nii.gz"},
        "sub-02 ses-a": {"T2w": "sub-02_ses-a_T2w.nii.gz"},
        "sub-02 ses-b": {"PDw": "sub-02_ses-b_PDw.nii.gz"},
        "sub-03": {},
    }
    assert [session.reference for session in found[:3]] == ["T1w", "T2w", "PDw"]
    assert list(found[0].images) == ["T1w", "FLAIR"]  # in the order of the model


def test_image_with_an_agent_is_no_plain_contrast(tmp_path):
    (session,) = look_up(
        tmp_path,
        {
            "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz": None,
            "sub-01/anat/sub-01_run-1_T2w.nii.gz": None,
            "sub-01/anat/sub-01_run-2_FLAIR.nii.gz": None,
            "sub-01/anat/sub-01_run-2_FLAIR.json": {"ContrastBolusIngredient": "GADOLINIUM"},
        },
    )
    assert names(session) == {"T2w": "sub-01_run-1_T2w.nii.gz"}
    assert len(session.notes) == 2
    for name, agent in (("ce-gadolinium_T1w", "gadolinium"), ("run-2_FLAIR", "GADOLINIUM")):
        (note,) = [note for note in session.notes if name in note]
        assert f"contrast agent was given ({agent})" in note


def test_best_of_several_images_and_no_phase(tmp_path):
    (session,) = look_up(
        tmp_path,
        {
            "sub-01/anat/sub-01_acq-a_T2w.nii.gz": image(zooms=(1, 1, 5)),
            "sub-01/anat/sub-01_acq-b_T2w.nii.gz": image(),
            "sub-01/anat/sub-01_part-mag_T1w.nii.gz": None,
            "sub-01/anat/sub-01_part-phase_T1w.nii.gz": None,
        },
    )
    assert names(session) == {
        "T1w": "sub-01_part-mag_T1w.nii.gz",
        "T2w": "sub-01_acq-b_T2w.nii.gz",
    }
    notes = " ".join(session.notes)
    assert "sub-01_acq-a_T2w.nii.gz is not used: sub-01_acq-b_T2w.nii.gz is the finest" in notes
    assert "part-phase is no magnitude image" in notes


@pytest.mark.parametrize(
    "name",
    ["T1ce", "T1CE", "ceT1w", "T1Gd", "T1w-Gd", "T1c", "T1wC", "T1post", "ce-gadolinium_T1w"],
)
def test_contrast_of_an_agent_is_refused_with_the_reason(name):
    with pytest.raises(UsageError, match=r"--wanted .*contrast agent.*none of the other.*T1w, T2"):
        check_wanted(["T2w", name], MODEL)


@pytest.mark.parametrize("name", ["CT", "T2star", "t2w", "FA", "PDT2", "b0"])
def test_unknown_contrast_is_named_with_those_accepted(name):
    with pytest.raises(UsageError, match=f"--wanted {name}: the model does not make it; .*FLAIR"):
        check_wanted([name], MODEL)


def test_what_the_model_makes_is_accepted():
    check_wanted(["FLAIR", "T1w"], MODEL)
