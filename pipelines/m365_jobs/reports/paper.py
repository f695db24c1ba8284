"""Format printed reports: title, pages and the tenants on them."""

from __future__ import annotations

from m365_jobs.config import tenants as tenant_settings
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

TITLE = "Microsoft 365 backup"

IMAGE = "image"
"""Paper of a PNG."""


def page_tenants(scope: TenantScope, shown: Filter) -> list[str]:
    """Return the tenants of a page: those of the filter, or all that are configured or loaded."""
    return sorted({*(shown.tenants or (*scope.loaded_tenants(), *tenant_settings.configured()))})


def paper_css(paper: str, title: str) -> str:
    """Return the style of printed pages: size, title and page numbers. An image has long pages without either."""
    if paper == IMAGE:
        return "@page { size: 920px 10000px; margin: 16px; }"
    text = "".join(letter if letter.isalnum() or letter in " .-_·" else " " for letter in title)
    font = 'font: 8pt system-ui, "DejaVu Sans", sans-serif; color: #4b5563'
    return (
        f"@page {{ size: {paper}; margin: 14mm 12mm 16mm; "
        f'@bottom-left {{ content: "{text}"; {font} }} '
        f'@bottom-right {{ content: "Page " counter(page) " of " counter(pages); {font} }} }}'
    )
