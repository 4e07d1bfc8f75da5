"""Page templates; everything put into them is escaped."""

from __future__ import annotations

from typing import Any

from bids_gan.reports.numbers import DATA, format_value


def render(template: str, **values: Any) -> str:
    """Fill a template of ``data/``; everything put in is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DATA),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["value"] = format_value
    return environment.get_template(template).render(**values)
