"""Pages are opened from where nobody may write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bids_gan.reports.group import write_group


@pytest.fixture
def folder(report, tmp_path):
    """Everything of the small session and of its group, without permission to write."""
    folder = shutil.copytree(report.parent, tmp_path / "derivatives")
    write_group(folder)
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in everything:
        path.chmod(0o755)


def state_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of all there is: the superuser writes where nobody may."""
    states = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


def test_all_pages_open_and_leave_the_folder_alone(visit, folder):
    before = state_of(folder)
    group = visit(folder / "group.html")
    assert group.locator("#count").inner_text() == "2 of 2 rows fit"
    page = visit(folder / "sub-01.html")
    page.wait_for_load_state()
    pictures = page.locator("main img")
    for picture in pictures.all():
        assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0
    assert sum("sdc" in frame.url for frame in page.frames) == 6
    page.get_by_role("link", name="Look through the volumes").click()
    page.wait_for_selector("body[data-drawn]")
    assert page.locator("#trouble").is_hidden()
    assert state_of(folder) == before
