"""The cache of volumes: made once, made anew when a source changed or the file is damaged."""

import os

import numpy as np
import pytest
import torch

from bids_gan.errors import DataError
from bids_gan.gan.training.cache import cached_volumes


class Builder:
    def __init__(self, scale=1.0):
        self.calls = 0
        self.scale = scale

    def __call__(self):
        self.calls += 1
        return self.scale * np.arange(24.0).reshape(1, 2, 3, 4)


@pytest.fixture
def sources(tmp_path):
    paths = [tmp_path / "t1w.nii.gz", tmp_path / "fa.nii.gz"]
    for path in paths:
        path.write_bytes(b"voxels")
    return paths


def test_made_once_and_mapped(tmp_path, sources):
    build, cache = Builder(), tmp_path / "cache"
    first = cached_volumes(sources, cache, build)
    again = cached_volumes(sources, cache, build)
    assert build.calls == 1
    assert first.dtype == torch.float16
    assert torch.equal(first, torch.arange(24.0).reshape(1, 2, 3, 4).half())
    assert torch.equal(first, again)
    (file,) = cache.iterdir()
    first.zero_()  # writing to the tensor leaves the file as it is
    assert torch.equal(cached_volumes(sources, cache, build), again)
    assert file.suffix == ".npy"


def test_file_is_mapped_and_not_read(tmp_path, sources):
    volumes = cached_volumes(sources, tmp_path / "cache", Builder())
    (file,) = (tmp_path / "cache").iterdir()
    with open("/proc/self/maps") as maps:
        assert str(file) in maps.read()
    assert volumes.shape == (1, 2, 3, 4)


def test_changed_source_is_made_anew_and_the_old_removed(tmp_path, sources):
    build, cache = Builder(), tmp_path / "cache"
    cached_volumes(sources, cache, build)
    stat = sources[1].stat()
    os.utime(sources[1], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    cached_volumes(sources, cache, build)
    sources[0].write_bytes(b"more voxels")
    cached_volumes(sources, cache, build)
    assert build.calls == 3
    assert len(list(cache.iterdir())) == 1
    cached_volumes(sources[:1], cache, build)  # other sources, another file
    assert len(list(cache.iterdir())) == 2


def test_cut_short_is_made_anew(tmp_path, sources):
    build, cache = Builder(), tmp_path / "cache"
    cached_volumes(sources, cache, build)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-8])
    assert cached_volumes(sources, cache, build)[0, 1, 2, 3] == 23
    assert build.calls == 2


def test_values_beyond_half_precision(tmp_path, sources):
    with pytest.raises(DataError, match=r"fa\.nii\.gz.*0 to 2.3e\+06"):
        cached_volumes(sources, tmp_path / "cache", Builder(1e5))
    assert not list(tmp_path.glob("cache/*"))


def test_missing_source_is_named(tmp_path, sources):
    sources[1].unlink()
    with pytest.raises(DataError, match=r"fa\.nii\.gz: No such file"):
        cached_volumes(sources, tmp_path / "cache", Builder())
