"""Render templates and tables as HTML. Jinja2 escapes all values of the warehouse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from m365_jobs.reports import labels, svg
from m365_jobs.text import format_count, visible
from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

OPTIONAL_COLUMNS = ("Tenant", "Location", "Detail", "Other", "Licence", "Container")
"""Columns that a table omits if all their cells are empty."""

MAX_LINE_CHARACTERS = 40
"""Characters of a text above which a cell may wrap it."""

MAX_WORD_CHARACTERS = 28
"""Characters of a word above which a cell may break it; the id of a job has 23."""

DATE = re.compile(r"\d{4}-\d\d-\d\d")


@cache
def environment() -> Environment:
    """Return the Jinja2 environment with the templates."""
    jinja = Environment(
        loader=PackageLoader("m365_jobs.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals.update(sign=svg.sign, labels=labels, format_count=format_count)
    jinja.filters.update(sentence=sentence, dates=unbroken_dates)
    jinja.filters["number"] = lambda value: f"{value:,}"
    return jinja


def render_template(*templates: str, **values: Any) -> Markup:
    """Render the first of the templates that exists.

    Control characters, such as those that change the direction of text, become visible: API texts may contain them.
    """
    return Markup(visible(environment().select_template(templates).render(**values)))


@cache
def css() -> str:
    """Return the style sheet of every page."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Cell:
    """Describe a cell of a table; ``href`` makes it a link, ``external`` says that it leads to another site."""

    text: Any
    href: str | None = None
    external: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """Describe a table. Columns with only numbers are aligned to the right."""

    caption: str
    columns: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    classes: str = ""
    sorts: dict[str, str] = field(default_factory=dict)
    """Column to the URL that sorts by it."""

    def __html__(self) -> str:
        return render_table(self)


def render_table(table: HtmlTable) -> Markup:
    """Return a table as HTML, without the optional columns that are empty."""
    visible_columns = [
        index for index, name in enumerate(table.columns) if name not in OPTIONAL_COLUMNS or _has_content(table, index)
    ]
    numeric = {index for index in visible_columns if table.rows and all(_is_number(row[index]) for row in table.rows)}

    def line(tag: str, row: Sequence[Any]) -> str:
        return "".join(_cell(tag, row[index], index in numeric, table.sorts) for index in visible_columns)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in table.rows)
    caption = escape(table.caption)
    return Markup(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table class="{table.classes}">'
        f'<caption class="hidden">{caption}</caption>'
        f"<thead><tr>{line('th', table.columns)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _has_content(table: HtmlTable, index: int) -> bool:
    """Return True if the cells of a column differ, or if one has other content than a default."""
    texts = {str(_content(row[index])) for row in table.rows}
    return len(texts) > 1 or bool(texts - {"", "0", "None", *DEFAULT_LABELS, labels.location_label(None)})


def _content(value: Any) -> Any:
    """Return the text or number of a cell."""
    return value.text if isinstance(value, Cell) else value


def _is_number(value: Any) -> bool:
    return isinstance(_content(value), int | None) and not isinstance(_content(value), bool)


def _may_wrap(text: Any) -> bool:
    """Return True if a cell may wrap its text: it is long, or has a long word that would widen the table."""
    if isinstance(text, Markup):
        return False
    is_long = len(str(text)) > MAX_LINE_CHARACTERS
    return is_long or any(len(word) > MAX_WORD_CHARACTERS for word in str(text).split())


def _cell(tag: str, value: Any, is_numeric: bool, sorts: dict[str, str]) -> str:
    """Return a cell as HTML; ``tag`` is th or td, ``sorts`` has the URLs of sortable columns by title."""
    text = _content(value)
    body = escape("–" if text is None else f"{text:,}" if isinstance(text, int) else text)
    if isinstance(value, Cell) and value.href:
        rel = ' rel="noreferrer"' if value.external else ""
        body = Markup('<a href="{}"{}>{}</a>').format(value.href, Markup(rel), body)
    if tag == "th" and str(text) in sorts:
        body = Markup('<a href="{}">{}</a>').format(sorts[str(text)], body)
    css_class = "number" if is_numeric else "text" if _may_wrap(text) else ""
    attributes = (' scope="col"' if tag == "th" else "") + (f' class="{css_class}"' if css_class else "")
    return f"<{tag}{attributes}>{body}</{tag}>"


def error_cell(message: str | None, url: str | None, is_linked: bool) -> Cell:
    """Return a cell with an error message, linked to its help page if ``is_linked`` is true and the URL is HTTP."""
    has_link = is_linked and url and url.startswith(("https://", "http://"))
    return Cell(message or "no message", url if has_link else None, external=True)


def unbroken_dates(text: str) -> Markup:
    """Return a text whose dates are not wrapped: browsers wrap after hyphens."""
    return Markup(DATE.sub(r'<span class="date">\g<0></span>', str(escape(text))))


def sentence_list(parts: Iterable[str]) -> str:
    """Return names as a list in a sentence: a, b and c."""
    names = list(parts)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital at its start, a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
