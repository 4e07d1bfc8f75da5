"""Sphinx configuration; tables that can be made from the package are made from it."""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "bids_gan"

project = "bids-gan"
author = copyright = "The bids-gan developers"
release = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text())[1]
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_static_path = ["_static"]
html_css_files = ["wide.css"]
# es5/tex-svg.js of the npm package mathjax 3.2.2, unchanged; with its fonts, so without network
mathjax_path = "mathjax/tex-svg.js"
html_theme = "alabaster"
html_theme_options = {"description": "Missing contrasts and EPI distortion correction"}
html_show_sourcelink = False


def output_table() -> str:
    """All outputs of the application, from the list that the application itself uses."""
    outputs = json.loads((PACKAGE / "data" / "outputs.json").read_text(encoding="utf-8"))
    rows = ["| file | what it is |", "|---|---|"]
    for spec in outputs.values():
        notes = [spec["description"]]
        if spec.get("units", "arbitrary") != "arbitrary":
            notes.append(f"Unit: {spec['units']}.")
        if spec.get("synthetic"):
            notes.append("**Synthetic.**")
        rows.append(f"| `{spec['pattern']}` | {' '.join(notes)} |")
    return "\n".join(rows) + "\n"


def model_table() -> str:
    """The released models, from their cards."""
    rows = ["| model | version | from | to | weights (SHA-256) |", "|---|---|---|---|---|"]
    for path in sorted((PACKAGE / "models").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        rows.append(
            f"| `{card['Name']}` | {card['Version']} | {', '.join(card['Inputs'])} | "
            f"{card['Target']} | `{card['WeightsSHA256'][:16]}…` |"
        )
    return "\n".join(rows) + "\n"


def write_tables(app) -> None:
    """Write the tables where the pages include them."""
    folder = DOCS / "_build" / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "outputs.md").write_text(output_table(), encoding="utf-8")
    (folder / "models.md").write_text(model_table(), encoding="utf-8")


def setup(app) -> None:
    """Sphinx entry point."""
    app.connect("builder-inited", write_tables)
