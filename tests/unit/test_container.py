"""The recipe of the image and its list of packages; tests/hpc/container.sh builds it."""

import importlib.util
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from bids_gan import __version__

ROOT = Path(__file__).parents[2]
DEBIAN = (
    "libc6\\t2.36-9+deb12u10\\tamd64\\n"
    "libstdc++6\\t12.2.0-14\\tamd64\\n"
    "bsdutils\\t1:2.38.1\\tall\\n"
)


@pytest.fixture
def sbom(tmp_path, monkeypatch):
    """What `container/sbom.py` tells of this environment and of three packages of Debian."""
    query = tmp_path / "dpkg-query"
    query.write_text(f"#!/bin/sh\nprintf '{DEBIAN}'\n")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "container" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_APPLICATION", "nibabel")  # this one need not be installed
    return module.bill_of_materials()


def test_packages_of_python_and_debian_are_listed(sbom):
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    found = {item["name"]: item for item in sbom["components"]}
    assert found["torch"]["version"] == version("torch")
    assert found["torch"]["licenses"]
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    assert found["libstdc++6"]["purl"].startswith("pkg:deb/debian/libstdc%2B%2B6@")
    assert found["bsdutils"]["version"] == "1:2.38.1"
    references = [item["bom-ref"] for item in sbom["components"]]
    assert len(set(references)) == len(references)


def test_application_is_what_the_list_is_of(sbom):
    subject = sbom["metadata"]["component"]
    assert (subject["type"], subject["name"]) == ("application", "nibabel")
    assert "nibabel" not in {item["name"] for item in sbom["components"]}


def test_label_holds_the_version():
    recipe = (ROOT / "Dockerfile").read_text()
    versions = re.findall(r"^ARG VERSION=(.*)$", recipe, re.MULTILINE)
    assert versions == [__version__] * 2
    label = 'org.opencontainers.image.version="$VERSION"'
    assert label in recipe
