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

OPTIONAL = ("Tenant", "Location", "Detail", "Other", "Licence", "Container")
"""Columns that a table omits if all their cells are empty."""


LONGEST_WORD = 28
"""Length of a word above which a cell may break it; the id of a job has 23 characters."""

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

    Characters that change the direction of text become visible marks: texts of the API may contain them.
    """
    return Markup(visible(environment().select_template(templates).render(**values)))


@cache
def css() -> str:
    """Return the style sheet of every page."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Cell:
    """Describe a cell of a table; ``href`` makes it a link, ``external`` one to another site."""

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
    shown = [index for index, name in enumerate(table.columns) if name not in OPTIONAL or _has_content(table, index)]
    numeric = {index for index in shown if table.rows and all(_is_number(row[index]) for row in table.rows)}

    def line(tag: str, row: Sequence[Any]) -> str:
        return "".join(_cell(tag, row[index], index in numeric, table.sorts) for index in shown)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in table.rows)
    caption = escape(table.caption)
    return Markup(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table class="{table.classes}">'
        f'<caption class="hidden">{caption}</caption>'
        f"<thead><tr>{line('th', table.columns)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _has_content(table: HtmlTable, index: int) -> bool:
    texts = {str(_text(row[index])) for row in table.rows}
    return len(texts) > 1 or bool(texts - {"", "0", "None", *DEFAULT_LABELS, labels.location_label(None)})


def _text(value: Any) -> Any:
    return value.text if isinstance(value, Cell) else value


def _is_number(value: Any) -> bool:
    return isinstance(_text(value), int | None) and not isinstance(_text(value), bool)


def _is_long(text: Any) -> bool:
    """Return whether a text may be wrapped: it is long, or has a long word that would widen the table."""
    words = str(text).split()
    return not isinstance(text, Markup) and (len(str(text)) > 40 or any(len(word) > LONGEST_WORD for word in words))


def _cell(tag: str, value: Any, numeric: bool, sorts: dict[str, str]) -> str:
    text = _text(value)
    shown = escape("–" if text is None else f"{text:,}" if isinstance(text, int) else text)
    if isinstance(value, Cell) and value.href:
        rel = ' rel="noreferrer"' if value.external else ""
        shown = Markup('<a href="{}"{}>{}</a>').format(value.href, Markup(rel), shown)
    if tag == "th" and str(text) in sorts:
        shown = Markup('<a href="{}">{}</a>').format(sorts[str(text)], shown)
    kind = "number" if numeric else "text" if _is_long(text) else ""
    attributes = (' scope="col"' if tag == "th" else "") + (f' class="{kind}"' if kind else "")
    return f"<{tag}{attributes}>{shown}</{tag}>"


def error_text(message: str | None, url: str | None, links: bool) -> Cell:
    """Return a cell with an error message, linked to its help page if ``links`` is true."""
    allowed = links and url and url.startswith(("https://", "http://"))
    return Cell(message or "no message", url if allowed else None, external=True)


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
