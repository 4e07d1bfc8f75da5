"""Times of steps: noted by the run, read by the report."""

import os

from bids_gan.reports.subject import write_subject_reports
from bids_gan.reports.times import NAME, add_time, is_drawing, read_times


def note(logs, run, age, *steps):
    table = logs / run / NAME
    table.parent.mkdir(parents=True, exist_ok=True)
    for step, seconds in steps:
        add_time(table, f"bids_gan_wf.{step}", seconds)
    os.utime(table, (1e9 - age, 1e9 - age))


def test_steps_of_all_runs_count_and_the_last_time_of_each(tmp_path):
    note(tmp_path, "zz", 9, ("sub_01_wf.anat_wf.prepare", 60), ("sub_01_wf.dwi_wf.fit", 5))
    note(tmp_path, "aa", 1, ("sub_01_wf.dwi_wf.fit", 8), ("sub_011_wf.dwi_wf.fit", 99))
    note(tmp_path, "bb", 0, ("lonely", 7))
    assert read_times(tmp_path, "sub_01_wf") == {"anat_wf.prepare": 60, "dwi_wf.fit": 8}


def test_half_a_line_of_a_killed_run_is_left_out(tmp_path):
    note(tmp_path, "aa", 0, ("sub_01_wf.dwi_wf.fit", 8))
    with (tmp_path / "aa" / NAME).open("a") as table:
        table.write("bids_gan_wf.sub_01_wf.dwi_wf.save\t12")
    assert read_times(tmp_path, "sub_01_wf") == {"dwi_wf.fit": 8}


def test_no_room_for_a_time_does_not_end_the_run(tmp_path):
    add_time(tmp_path / "gone" / NAME, "a.b.c", 1)
    assert not (tmp_path / "gone").exists()


def test_which_steps_draw():
    assert is_drawing("dir_AP_wf.draw_diffusion")
    assert is_drawing("save_viewer")
    assert not is_drawing("anatomical_wf.save_fa")


def test_summary_tells_the_run_time_and_the_share_of_figures(project):
    steps = [("sub_01_wf.anat_wf.prepare", 60), ("sub_01_wf.dwi_wf.draw_diffusion", 20)]
    note(project.settings.log_dir.parent, "aa", 0, *steps)
    write_subject_reports(project.settings, project.plan)
    html = " ".join((project.out / "sub-01.html").read_text().split())
    assert "Run time 1:20 (m:ss), of which 0:20 (25%) for figures" in html
    assert '<td>dwi, draw diffusion</td><td class="number">0:20</td>' in html
    assert "Run time" not in (project.out / "sub-02.html").read_text()
