"""Define what a section of a page is: a title, queries, and the values of a template made of their rows."""

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
    """Queries whose rows ``build`` takes from ``Page.rows``."""
    of_fleet: bool = True
    """Shown on a page of several tenants."""
    of_tenant: bool = True
    """Shown on a page of one tenant."""
    has_heading: bool = True
    """Has its title above it; the template of another has its own heading."""
    folded: bool = True
    """Closed on the dashboard until a click; reports show all."""

    def is_shown(self, *, is_fleet: bool) -> bool:
        """Return whether a page has the section."""
        return self.of_fleet if is_fleet else self.of_tenant


def rows_if_there(scope: TenantScope, query: str, **values: Any) -> list[Row]:
    """Return the rows of a query; none in a warehouse of before there were companions."""
    try:
        return scope.rows(query, **values)
    except DestinationUndefinedEntity:
        return []
