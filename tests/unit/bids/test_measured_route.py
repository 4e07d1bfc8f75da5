"""Which measured field map a run is corrected with."""

import pytest
from bids_tree import AP, diffusion

from bids_gan.bids.plan import format_plan

ECHOES = {"EchoTime1": 0.00492, "EchoTime2": 0.00738}
T1W = {"sub-01/anat/sub-01_T1w.nii.gz": None}
ONE = {**T1W, **diffusion("sub-01/dwi/sub-01_dir-AP")}
BLIPS = {**ONE, **diffusion("sub-01/dwi/sub-01_dir-PA", {**AP, "PhaseEncodingDirection": "j"})}
PHASEDIFF = "sub-01_phasediff.nii.gz"


def field_map(name, metadata, magnitude="magnitude1"):
    """Files of one field map in ``fmap/``; ``name`` as in ``sub-01_phasediff``."""
    stem = f"sub-01/fmap/{name}"
    files = {f"{stem}.nii.gz": None, f"{stem}.json": metadata}
    return files | ({f"{stem.rpartition('_')[0]}_{magnitude}.nii.gz": None} if magnitude else {})


def phasediff(**metadata):
    return field_map("sub-01_phasediff", {**ECHOES, **metadata})


def phases(first=0.00492, second=0.00738):
    made = field_map("sub-01_phase1", {"EchoTime": first})
    return made | field_map("sub-01_phase2", {"EchoTime": second}, None)


def first_run(made):
    return made.sessions[0].dwi[0]


def test_measured_field_comes_before_the_opposite_blip_and_the_plan_says_why(plan):
    made = plan({**BLIPS, **phasediff(IntendedFor="dwi/sub-01_dir-AP_dwi.nii.gz")})
    ap, pa = made.sessions[0].dwi
    assert (ap.route, pa.route) == ("measured", "reverse-pe")
    field = ap.correction.measured
    assert field.echo_times == (0.00492, 0.00738)
    assert [path.name for path in ap.correction.sources] == [
        PHASEDIFF,
        "sub-01_magnitude1.nii.gz",
    ]
    text = format_plan(made)
    assert f"measured: sub-01/fmap/{PHASEDIFF} measures the field\n" in text
    assert "reverse-pe: sub-01/dwi/sub-01_dir-AP_dwi.nii.gz has the opposite" in text


@pytest.mark.parametrize("sdc", ["reverse-pe", "synth", "none"])
def test_other_routes_can_be_asked_for(plan, sdc):
    assert {run.route for run in plan({**BLIPS, **phasediff()}, sdc=sdc).sessions[0].dwi} == {sdc}


@pytest.mark.parametrize("units", ["Hz", "rad/s", "T"])
def test_map_of_the_field(plan, units):
    content = field_map("sub-01_fieldmap", {"Units": units}, "magnitude")
    field = first_run(plan({**ONE, **content})).correction.measured
    assert (field.units, field.echo_times) == (units, None)


@pytest.mark.parametrize(
    ("sdc", "checks"),
    [
        ("auto", ["the pair with sub-01_dir-PA_dwi.nii.gz", None]),
        ("reverse-pe", [PHASEDIFF, None]),
        ("synth", [PHASEDIFF, "the pair with sub-01_dir-AP_dwi.nii.gz"]),
        ("none", [None, None]),
    ],
)
def test_what_was_acquired_and_not_used_becomes_the_check(plan, sdc, checks):
    made = plan({**BLIPS, **phasediff(IntendedFor="dwi/sub-01_dir-AP_dwi.nii.gz")}, sdc=sdc)
    found = [run.correction.check for run in made.sessions[0].dwi]
    assert [check and check.origin for check in found] == checks
    text = format_plan(made)
    for origin in filter(None, checks):
        assert f"compared with   the field of {origin}\n" in text
    assert text.count("compared with") == sum(check is not None for check in found)


def test_faulty_field_map_is_no_check(plan):
    made = plan({**ONE, **phasediff(EchoTime1=None)}, sdc="synth")
    assert first_run(made).correction.check is None


@pytest.mark.parametrize("times", [(0.00492, 0.00738), (0.00738, 0.00492)])
def test_phases_of_two_echoes_in_either_order(plan, times):
    field = first_run(plan({**ONE, **phases(*times)})).correction.measured
    assert field.echo_times == times
    assert [path.name for path in field.paths] == ["sub-01_phase1.nii.gz", "sub-01_phase2.nii.gz"]


@pytest.mark.parametrize(
    ("metadata", "meant"),
    [
        ({}, False),  # the run asks for another one
        ({"IntendedFor": ["bids::sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"]}, True),
        ({"IntendedFor": "bids::sub-01/func/sub-01_task-rest_bold.nii.gz"}, False),
        ({"B0FieldIdentifier": ["gre", "other"]}, True),
        ({"B0FieldIdentifier": "other"}, False),
    ],
)
def test_field_map_must_be_meant_for_the_run(plan, metadata, meant):
    run = {**AP, "B0FieldSource": "gre"}
    content = {**T1W, **diffusion("sub-01/dwi/sub-01_dir-AP", run), **phasediff(**metadata)}
    assert first_run(plan(content)).route == ("measured" if meant else "synth")


def test_linked_field_map_comes_before_one_that_names_nothing(plan):
    content = field_map("sub-01_acq-a_phasediff", ECHOES)
    content |= field_map("sub-01_acq-b_phasediff", {**ECHOES, "IntendedFor": PHASEDIFF})
    content |= field_map("sub-01_acq-c_phasediff", {**ECHOES, "B0FieldIdentifier": "gre"})
    run = first_run(plan({**ONE, **content}))
    assert run.correction.measured.paths[0].name == "sub-01_acq-c_phasediff.nii.gz"


def test_field_map_that_names_no_image_serves_its_session_and_the_plan_says_so(plan):
    run = first_run(plan({**ONE, **phasediff()}))
    assert run.route == "measured"
    assert "names no image it is meant for" in run.reason


def test_field_map_of_another_session_is_not_taken(plan):
    content = {"sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz": None}
    content |= diffusion("sub-01/ses-a/dwi/sub-01_ses-a")
    stem = "sub-01/ses-b/fmap/sub-01_ses-b_"
    content |= {f"{stem}phasediff.nii.gz": None, f"{stem}magnitude1.nii.gz": None}
    content |= {f"{stem}phasediff.json": ECHOES}
    assert first_run(plan(content)).route == "synth"


FAULTY = [
    (phasediff(EchoTime1=None), ["sub-01_phasediff.json", "EchoTime1 is missing", "seconds"]),
    (phasediff(EchoTime2=7.38), ["EchoTime2 is 7.38", "seconds"]),
    (phasediff(EchoTime2=True), ["EchoTime2 is True", "seconds"]),
    (phasediff(EchoTime2=ECHOES["EchoTime1"]), ["EchoTime2 is 0.00492", "another time"]),
    (phasediff(EchoTime1=0.00738, EchoTime2=0.00492), ["EchoTime1 (0.00738 s) is later"]),
    (phases(0.00492, None), ["sub-01_phase2.json", "EchoTime is missing"]),
    (field_map("sub-01_phase1", {"EchoTime": 0.005}), ["sub-01_phase2.nii.gz is missing"]),
    (
        field_map("sub-01_phasediff", ECHOES, None),
        ["sub-01_phasediff.nii.gz has no sub-01_magnitude1 or sub-01_magnitude2"],
    ),
    (
        field_map("sub-01_fieldmap", {"Units": "kHz"}, "magnitude"),
        ["sub-01_fieldmap.json", "Units is 'kHz'", "Hz, rad/s, T"],
    ),
    (
        field_map("sub-01_fieldmap", {"Units": "Hz"}, None),
        ["has no sub-01_magnitude (.nii.gz or .nii)"],
    ),
]


@pytest.mark.parametrize(("content", "words"), FAULTY)
def test_faulty_field_map_is_named(plan, content, words):
    forced = plan({**ONE, **content}, sdc="measured")
    (problem,) = forced.refused[0].problems
    assert first_run(forced).route == "none"
    for word in (*words, "sub-01_dir-AP_dwi.nii.gz", "--sdc auto", "--sdc-on-failure warn"):
        assert word in problem
    automatic = plan({**ONE, **content})
    assert (first_run(automatic).route, automatic.refused) == ("synth", ())
    for word in words:
        assert word in first_run(automatic).reason


def test_missing_field_map_is_an_error_when_it_was_asked_for(plan):
    (problem,) = plan(ONE, sdc="measured").refused[0].problems
    for word in ("sub-01_dir-AP_dwi.nii.gz", "no measured field map", "*_phasediff", "--sdc auto"):
        assert word in problem
    warned = plan(ONE, sdc="measured", sdc_on_failure="warn")
    assert (first_run(warned).route, warned.refused) == ("none", ())
