"""Print what the image is made of, as CycloneDX 1.6: sbom.py > FILE.

Python packages of the interpreter that runs this, and the packages of Debian around it.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, distributions
from urllib.parse import quote

_DEBIAN = "${Package}\t${Version}\t${Architecture}\n"
_APPLICATION = "bids-gan"


def main() -> None:
    print(json.dumps(bill_of_materials(), indent=1))


def bill_of_materials() -> dict:
    """Content of the file, the same for the same packages."""
    python = {item["bom-ref"]: item for item in map(_python_package, distributions())}
    application = next(item for item in python.values() if item["name"] == _APPLICATION)
    parts = {**python, **{item["bom-ref"]: item for item in _debian_packages()}}
    del parts[application["bom-ref"]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**application, "type": "application"}},
        "components": [parts[reference] for reference in sorted(parts)],
    }


def _python_package(package: Distribution) -> dict:
    name = re.sub(r"[-_.]+", "-", package.name).lower()
    licences = _licences(package)
    component = _component(name, package.version, f"pkg:pypi/{name}")
    return {**component, "licenses": licences} if licences else component


def _licences(package: Distribution) -> list[dict]:
    """By the SPDX expression, else by the words, of the package itself."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return [{"expression": expression}]
    kinds = [
        words.split(" :: ")[-1]
        for words in told.get_all("Classifier", [])
        if words.startswith("License ::")
    ]
    # some packages put the whole text of their licence here
    first_line = (told.get("License") or "").strip().partition("\n")[0]
    return [{"license": {"name": name}} for name in kinds or [first_line] if name]


def _debian_packages() -> list[dict]:
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat", _DEBIAN],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = (line.split("\t") for line in listed.splitlines())
    return [
        _component(
            name, version, f"pkg:deb/debian/{quote(name, safe='')}", f"?arch={architecture}"
        )
        for name, version, architecture in rows
    ]


def _component(name: str, version: str, place: str, qualifiers: str = "") -> dict:
    url = f"{place}@{quote(version, safe='')}{qualifiers}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


if __name__ == "__main__":
    main()
