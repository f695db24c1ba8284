"""Render printed reports: their title, paper, and the tenants on them."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from m365_jobs.config import tenants as tenant_settings
from m365_jobs.reports import html
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

TITLE = "Microsoft 365 backup"

EMPTY_TEXT = "Nothing is loaded yet."

IMAGE_PAPER = "image"
"""Value of ``paper`` for a PNG."""


def page_tenants(scope: TenantScope, filters: Filter) -> list[str]:
    """Return the tenants of a page: those of the filter, or all that are configured or loaded."""
    return sorted({*(filters.tenants or (*scope.loaded_tenants(), *tenant_settings.configured()))})


def render_paper(template: str, title: str, paper: str, **values: Any) -> Markup:
    """Return a report as one HTML file without external scripts, fonts and images; ``paper`` as for ``paper_css``."""
    return html.render_template(
        template, title=title, kind="report", css=html.css(), paper=paper_css(paper, title), **values
    )


def paper_css(paper: str, title: str) -> str:
    """Return the CSS of printed pages: size, title and page numbers; an image has long pages without the last two.

    ``paper`` is a paper size of CSS, or ``IMAGE_PAPER``.
    """
    if paper == IMAGE_PAPER:
        return "@page { size: 920px 10000px; margin: 16px; }"
    footer = "".join(letter if letter.isalnum() or letter in " .-_·" else " " for letter in title)
    font = 'font: 8pt system-ui, "DejaVu Sans", sans-serif; color: #4b5563'
    return (
        f"@page {{ size: {paper}; margin: 14mm 12mm 16mm; "
        f'@bottom-left {{ content: "{footer}"; {font} }} '
        f'@bottom-right {{ content: "Page " counter(page) " of " counter(pages); {font} }} }}'
    )
