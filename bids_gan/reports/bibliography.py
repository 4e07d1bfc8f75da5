"""Citations without pandoc: ``[@key]`` in Markdown to author-year in HTML, and the list behind."""

from __future__ import annotations

import re
from functools import cache
from html import escape

from bids_gan.reports.numbers import DATA

_ENTRY = re.compile(r"@(\w+)\{(\w+),\n(.*?)\n\}", re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+) = \{(.*)\},?$", re.MULTILINE)
_GROUP = re.compile(r"\[(@\w+(?:; @\w+)*)\]")
_ACCENTS = {
    r"{\c{C}}": "Ç",
    r"{\c{c}}": "ç",
    r"{\"O}": "Ö",
    r"{\"u}": "ü",
    r"{\"e}": "ë",
    r"{\u{a}}": "ă",
}


@cache
def _bibliography() -> dict[str, tuple[str, dict[str, str]]]:
    """Key -> (BibTeX as it stands in ``data/boilerplate.bib``, fields in plain text)."""
    text = (DATA / "boilerplate.bib").read_text(encoding="utf-8")
    return {
        entry[2]: (entry[0], {name: _plain(value) for name, value in _FIELD.findall(entry[3])})
        for entry in _ENTRY.finditer(text)
    }


def _plain(value: str) -> str:
    for tex, letter in _ACCENTS.items():
        value = value.replace(tex, letter)
    return value.replace("{", "").replace("}", "").replace("--", "–")


def cited_keys(markdown: str) -> list[str]:
    """Keys in the order in which a text cites them first.

    Raises
    ------
    KeyError
        If a key is not in ``data/boilerplate.bib``.
    """
    keys = dict.fromkeys(
        key.strip(" @") for group in _GROUP.findall(markdown) for key in group.split(";")
    )
    for key in keys:
        if key not in _bibliography():
            raise KeyError(f"{key} is not in boilerplate.bib")
    return list(keys)


def bibtex(keys: list[str]) -> str:
    """The BibTeX entries of some keys."""
    return "\n\n".join(_bibliography()[key][0] for key in keys) + "\n"


def reference(key: str) -> str:
    """One entry of the reference list in plain text, without its identifier."""
    entry = _bibliography()[key][1]
    place = entry.get("journal") or entry.get("booktitle", "")
    if "volume" in entry:
        place += f" {entry['volume']}" + (f"({entry['number']})" if "number" in entry else "")
    if "pages" in entry:
        place += f":{entry['pages']}"
    return f"{_authors(entry['author'])} ({entry['year']}). {entry['title']}. {place}."


def link(key: str) -> str | None:
    """Web address of a publication."""
    entry = _bibliography()[key][1]
    return f"https://doi.org/{entry['doi']}" if "doi" in entry else None


def _authors(field: str) -> str:
    names = [name.split(", ")[0] for name in field.split(" and ")]
    names = ["et al." if name == "others" else name for name in names]
    return ", ".join(names)


def _short(key: str) -> str:
    """Author and year as cited in running text."""
    entry = _bibliography()[key][1]
    names = [name.split(", ")[0] for name in entry["author"].split(" and ")]
    who = {1: names[0], 2: " and ".join(names)}.get(len(names), f"{names[0]} et al.")
    return f"{who} {entry['year']}"


def to_html(markdown: str) -> str:
    """Paragraphs, ``### headings`` and citations of a text as HTML; everything else escaped."""
    blocks = []
    for block in markdown.strip().split("\n\n"):
        if block.startswith("### "):
            blocks.append(f"<h3>{escape(block[4:])}</h3>")
        else:
            blocks.append(f"<p>{_GROUP.sub(_cite_html, escape(block))}</p>")
    references = "\n".join(
        f'<li id="ref-{key}">{escape(reference(key))} {_link_html(key)}</li>'
        for key in cited_keys(markdown)
    )
    return "\n".join(blocks) + f"\n<h3>References</h3>\n<ol>\n{references}\n</ol>"


def _cite_html(group: re.Match) -> str:
    keys = [key.strip(" @") for key in group[1].split(";")]
    return "(" + "; ".join(f'<a href="#ref-{key}">{_short(key)}</a>' for key in keys) + ")"


def _link_html(key: str) -> str:
    address = link(key)
    return f'<a href="{address}">{address}</a>' if address else ""


def with_references(markdown: str) -> str:
    """The text with its reference list in plain Markdown below."""
    lines = [
        f"- [@{key}] {reference(key)} {link(key) or ''}".rstrip() for key in cited_keys(markdown)
    ]
    return f"{markdown.strip()}\n\n### References\n\n" + "\n".join(lines) + "\n"
