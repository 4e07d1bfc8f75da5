"""Formulas of the documentation are drawn by what lies beside the pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = """\
# Title

The field $\\hat f = \\lVert x \\rVert_1$ of a table:

| loss | formula |
|---|---|
| L4 | $\\dfrac{\\langle x\\rangle^2}{2}$ |

$$
\\mathcal L = \\tfrac12 \\operatorname{mean}_a \\bigl(1 - x\\bigr)^2
$$
"""


@pytest.fixture
def page(tmp_path):
    """A page built as the documentation is."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install -e .[docs]")
    pytest.importorskip("myst_parser", reason="MyST is not installed: pip install -e .[docs]")
    source = tmp_path / "pages"
    source.mkdir()
    (source / "index.md").write_text(PAGE)
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-c", DOCS, source, tmp_path / "html"]
    done = subprocess.run([*map(str, build)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tmp_path / "html" / "index.html"


def test_formulas_are_drawn_without_network(chromium, page):
    window, asked = chromium.new_page(), []
    window.on("request", lambda request: asked.append(request.url))
    window.goto(page.as_uri())
    window.wait_for_selector("mjx-container svg")
    assert window.locator("mjx-container svg").count() == 3
    assert window.locator("[data-mml-node=merror]").count() == 0
    assert "\\lVert" not in window.inner_text("body")
    assert [url for url in asked if not url.startswith("file:")] == []
    window.close()
