"""Define a section of a page: a title, its queries, and a function that converts their rows to template values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.reports.metrics import Query, Row
from m365_jobs.reports.page import Page
from m365_jobs.warehouse.tenant_scope import TenantScope


@dataclass(frozen=True)
class Section:
    """Describe a part of dashboard, report and image.

    ``build`` returns the values of its template; None leaves the section out. The template is
    ``templates/sections/NAME.html``, or ``table.html``, which shows ``table`` and ``note``.
    """

    name: str
    title: str
    build: Callable[[Page], dict[str, Any] | None]
    reads: tuple[Query, ...] = ()
    """Queries whose rows ``build`` gets from ``Page.rows``."""
    on_fleet_page: bool = True
    """True shows it on a page of several tenants."""
    on_tenant_page: bool = True
    """True shows it on a page of one tenant."""
    has_heading: bool = True
    """True shows the title above it; otherwise the template has a heading of its own."""
    is_collapsed: bool = True
    """True collapses it on the dashboard until a click; reports show all sections."""

    def is_shown(self, *, is_fleet: bool) -> bool:
        """Return True if a page of several tenants, or of one, has the section."""
        return self.on_fleet_page if is_fleet else self.on_tenant_page


def rows_if_exists(scope: TenantScope, query: str, **values: Any) -> list[Row]:
    """Return the rows of a query; none if its table does not exist, as in a warehouse without companions."""
    try:
        return scope.rows(query, **values)
    except DestinationUndefinedEntity:
        return []
