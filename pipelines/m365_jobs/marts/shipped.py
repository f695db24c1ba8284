"""Read the rendered views that are shipped for DuckDB and PostgreSQL: rendering lasts longer than a small load.

``make views`` writes the files; a test compares them with what sqlglot renders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from m365_jobs.marts.catalog import VIEWS
from m365_jobs.marts.dialects import SHIPPED
from m365_jobs.marts.render import NameParts, create_view

DATASET = '"m365_shipped_dataset"'
"""Placeholder in the files for the quoted name of the dataset."""

CONFIGURED = re.compile(r"SELECT\s+'m365_shipped_(\w+)' AS tenant")
"""Placeholder in the files for rows of the configuration."""


def shipped_view(view: str, dialect: str, configured: Mapping[str, str], name_parts: NameParts) -> str | None:
    """Return the statement that creates or replaces a view; None if it has to be rendered.

    Views are shipped for the dialects of ``SHIPPED`` and names of two parts: dataset and table. ``configured`` are the
    queries of ``configured_rows`` in the same dialect.
    """
    parts = name_parts(view)
    if dialect not in SHIPPED or len(parts) != 2:
        return None
    dataset = '"' + parts[0].replace('"', '""') + '"'
    text = _read(view, dialect).replace(DATASET, dataset)
    return CONFIGURED.sub(lambda mark: configured[mark[1]], text)


def _read(view: str, dialect: str) -> str:
    return (files(__package__) / "rendered" / dialect / f"{view}.sql").read_text(encoding="utf-8")


def rendered_views(dialect: str) -> dict[str, str]:
    """Return the text of each shipped file of a dialect, by the name of its view."""
    return {view: create_view(view, dialect, None, lambda name: (DATASET.strip('"'), name)) + "\n" for view in VIEWS}


def write_views() -> None:
    """Write the files that are shipped."""
    for dialect in SHIPPED:
        folder = Path(__file__).with_name("rendered") / dialect
        folder.mkdir(parents=True, exist_ok=True)
        for view, text in rendered_views(dialect).items():
            (folder / f"{view}.sql").write_text(text, encoding="utf-8", newline="\n")
