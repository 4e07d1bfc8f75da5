"""Files that somebody else wrote: read, or said to hold nothing."""

import pytest

from bids_gan.text import load_json, read_json


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", None),
        (b"null", None),
        (b"{", None),
        (b'{"a": "\xff"}', None),
        (b"[" * 100_000, None),
        (None, None),
    ],
)
def test_object_or_nothing(tmp_path, content, found):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    assert read_json(path) == found


def test_loading_tells_what_is_wrong(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError):
        load_json(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested"):
        load_json(path)
