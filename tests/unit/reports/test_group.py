import json
import random
import re

import pytest

from bids_gan.reports.group import write_group
from bids_gan.reports.numbers import format_value, known_numbers


def table(out):
    lines = (out / "group_desc-sdc_qc.tsv").read_text().splitlines()
    columns = lines[0].split("\t")
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines[1:]]


def test_table_holds_every_run_with_its_numbers(project):
    project.write_run(project.runs[0])
    project.write_run(project.runs[1], accepted=False, reasons=["one", "two"], motion=False)
    write_group(project.out)
    ap, pa = table(project.out)
    assert ap["participant_id"] == "sub-01"
    assert ap["session_id"] == "n/a"
    assert ap["run"] == "sub-01_dir-AP"
    assert (ap["accepted"], ap["reasons"]) == ("true", "n/a")
    assert ap["displacement_p99_mm"] == "5.221"
    assert (ap["fd_mean_mm"], pa["fd_mean_mm"]) == ("0.2", "n/a")
    assert (pa["accepted"], pa["reasons"]) == ("false", "one; two")
    columns = list(ap)
    assert columns.index("displacement_p99_mm") < columns.index("fd_max_mm")
    assert columns[-1] == "brand_new_number"


def test_dictionary_describes_every_column_with_units(project):
    project.write_run(project.runs[0])
    write_group(project.out)
    meaning = json.loads((project.out / "group_desc-sdc_qc.json").read_text())
    assert set(meaning) == set(table(project.out)[0])
    assert meaning["displacement_p99_mm"]["Units"] == "mm"
    assert all(entry.get("Description") for name, entry in meaning.items() if "brand" not in name)


def test_known_numbers_are_described():
    for name, entry in known_numbers().items():
        assert set(entry) == {"LongName", "Description", "Units"}, name
        assert all(entry.values()), name


def test_sessions_and_people_without_result(project):
    for label in ("a", "b"):
        project.write_run(project.make_run("AP", session=label))
    (project.out / "sub-02.html").write_text("")
    (project.out / "sub-01.html").write_text("")
    write_group(project.out)
    assert [row["session_id"] for row in table(project.out)] == ["ses-a", "ses-b"]
    html = (project.out / "group.html").read_text()
    assert '<a href="sub-02.html">sub-02</a>' in html.split("<table>")[0]
    assert html.split("<table>")[1].count('<a href="sub-01.html">sub-01</a>') == 2


def test_people_with_a_t1w_only_have_a_line_of_their_own(project):
    project.write_run(project.runs[0])
    appearance = {"brain_volume_ml": 1500.0}
    for subject, score in (("01", 1.25), ("02", 3.5)):
        project.write_model(subject, OutOfDistribution=score, Appearance=appearance)
    on_diffusion_grid = project.out / "sub-01/dwi/sub-01_dir-AP_desc-synth_FA.json"
    on_diffusion_grid.write_text("{}")
    write_group(project.out)
    with_run, t1w_only = table(project.out)
    assert (with_run["run"], with_run["ood_score"]) == ("sub-01_dir-AP", "1.25")
    assert with_run["brain_volume_ml"] == t1w_only["brain_volume_ml"] == "1500"
    assert (t1w_only["participant_id"], t1w_only["run"]) == ("sub-02", "n/a")
    assert (t1w_only["ood_score"], t1w_only["accepted"]) == ("3.5", "n/a")
    html = " ".join((project.out / "group.html").read_text().split())
    assert "1 diffusion run of 1 person" in html
    assert "1 session with a T1w only" in html
    assert "could not be read" not in html


def test_every_contrast_has_its_score_for_the_t1w(project):
    project.write_run(project.runs[0])
    project.write_model(OutOfDistribution=1.25)
    for target, score in (("T2w", 2.5), ("FDG", 3.5), ("CT", None)):
        project.write_model(target=target, OutOfDistribution=score, Appearance={"grey_mean": 9})
    project.write_model("02", target="FDG", OutOfDistribution=5)
    broken = project.out / "sub-02/anat/sub-02_space-T1w_desc-synth_ct.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    write_group(project.out)
    ap, other = table(project.out)
    columns = [name for name in ap if name.startswith("ood_score")]
    assert columns == ["ood_score", "ood_score_t2w", "ood_score_fdg", "ood_score_ct"]
    assert [ap[name] for name in columns] == ["1.25", "2.5", "3.5", "n/a"]
    assert [other[name] for name in columns] == ["n/a", "n/a", "5", "n/a"]
    assert "grey_mean" not in ap  # it is of the T1w, and comes with the FA
    html = (project.out / "group.html").read_text()
    assert "Out-of-distribution score, FDG, runs: 2, from 3.5 to 5" in html
    assert broken.name in html


def test_broken_sidecar_is_named_and_does_not_stop_the_rest(project):
    for run in project.runs:
        project.write_run(run)
    broken = next(project.out.rglob("*dir-PA*.json"))
    broken.write_text("{")
    write_group(project.out)
    assert len(table(project.out)) == 1
    assert broken.name in (project.out / "group.html").read_text()


def test_text_is_escaped_and_cannot_break_the_table(project):
    project.write_run(
        project.runs[0],
        accepted=False,
        reasons=[f"{project.hostile}\twith\nbreaks"],
        **{project.hostile: 1},
    )
    write_group(project.out)
    (row,) = table(project.out)
    assert row["reasons"] == f"{project.hostile} with breaks"
    html = (project.out / "group.html").read_text()
    assert html.count("<script") == 2
    assert "alert(" not in "".join(html.split("<script")[1:])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "", []])
def test_missing_and_infinite_read_na(value):
    assert format_value(value) == "n/a"


def test_numbers_that_are_not_finite_are_not_drawn(project):
    project.write_run(project.runs[0], jacobian_min=float("nan"))
    project.write_run(project.runs[1], jacobian_min=0.5)
    write_group(project.out)
    assert [row["jacobian_min"] for row in table(project.out)] == ["n/a", "0.5"]
    html = (project.out / "group.html").read_text()
    assert "Smallest Jacobian determinant, runs: 1, from 0.5 to 0.5" in html
    assert "nan" not in re.sub(r"[^\w.]", " ", html).split()


def test_empty_folder_gives_an_empty_table(tmp_path):
    write_group(tmp_path)
    assert table(tmp_path) == []
    html = (tmp_path / "group.html").read_text()
    assert "0 diffusion runs of 0 people" in " ".join(html.split())


def points_of(html):
    return json.loads(re.search(r'id="points">(.*?)</script>', html)[1])


def write_many(project, count, **special):
    """Runs with numbers near one, none far off by chance; `special` gives the last run's own."""
    draw = random.Random(0)
    folder = project.out / "sub-01" / "dwi"
    folder.mkdir(parents=True)
    for n in range(count):
        numbers = {name: draw.uniform(0.9, 1.1) for name in known_numbers()}
        numbers |= special if n == count - 1 else {}
        content = json.dumps({"SDCQuality": {"accepted": True, "reasons": [], **numbers}})
        (folder / f"sub-01_run-{n:04}_desc-preproc_dwi.json").write_text(content)
    write_group(project.out)
    return (project.out / "group.html").read_text()


def test_outlier_is_flagged_in_table_plot_and_file(project):
    html = write_many(project, 30, jacobian_min=-1.0)
    *others, last = table(project.out)
    assert "jacobian_min" in last["outliers"].split("; ")
    assert all("jacobian_min" not in row["outliers"] for row in others)
    assert 'class="number low">-1</td>' in html
    number = list(known_numbers()).index("jacobian_min")
    assert [row for *_, row, far in points_of(html)[number] if far] == [29]
    assert "median absolute deviation" in html


def test_two_thousand_runs_fit_in_a_small_self_contained_page(project):
    html = write_many(project, 2000)
    assert (project.out / "group.html").stat().st_size < 10e6
    points = points_of(html)
    assert len(points) == len(known_numbers())
    for strip in points:
        assert [row for *_, row, _ in strip] == list(range(2000))
        assert all(0 <= x <= 640 and 0 <= y <= 72 for x, y, *_ in strip)
    rows = re.findall(r"<tr( hidden)?>", html.split("<tbody>")[1])
    assert len(rows) == 2000
    assert rows.count("") == 200  # a browser takes seconds for the others
    assert "tr[hidden] { display: table-row; }" in html.split("<noscript>")[1]
    assert not re.search(r"""(?:src|href)=["']https?:|@import|url\(""", html)
