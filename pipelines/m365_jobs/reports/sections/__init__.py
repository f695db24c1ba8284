"""List the sections of dashboard, report, image and PDF."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from m365_jobs.reports import html
from m365_jobs.reports.metrics import Metrics, QueryRange, as_of
from m365_jobs.reports.page import PAGE_QUERIES, Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.sections.calendar import CALENDAR
from m365_jobs.reports.sections.durations import DURATIONS
from m365_jobs.reports.sections.errors import ERRORS
from m365_jobs.reports.sections.findings import PROBLEMS, WARNINGS
from m365_jobs.reports.sections.fleet import FLEET, MATRIX
from m365_jobs.reports.sections.licence import LICENCE
from m365_jobs.reports.sections.loads import LOADS
from m365_jobs.reports.sections.night import NIGHT
from m365_jobs.reports.sections.open_jobs import OPEN
from m365_jobs.reports.sections.restores import RESTORES
from m365_jobs.reports.sections.retention import RETENTION
from m365_jobs.reports.sections.schedule import SCHEDULE
from m365_jobs.reports.sections.services import SERVICES
from m365_jobs.reports.sections.trends import TRENDS
from m365_jobs.reports.sections.verdict import VERDICT
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

SECTIONS: tuple[Section, ...] = (
    VERDICT,
    FLEET,
    MATRIX,
    PROBLEMS,
    WARNINGS,
    SERVICES,
    NIGHT,
    CALENDAR,
    SCHEDULE,
    TRENDS,
    DURATIONS,
    ERRORS,
    OPEN,
    RESTORES,
    RETENTION,
    LICENCE,
    LOADS,
)
"""In the order of their importance."""


@dataclass(frozen=True)
class BuiltSection:
    """Hold a section with its HTML, and the summary that it shows while it is collapsed."""

    section: Section
    html: Markup
    summary: str


def read_metrics(scope: TenantScope, filters: Filter, *, is_fleet: bool) -> Metrics | None:
    """Return the rows that the sections of a page need; None before the first load.

    Raises:
        DestinationUndefinedEntity: if the warehouse does not exist.
    """
    until = as_of(scope)
    if until is None:
        return None
    query_range = QueryRange(filters, until)
    queries = [query for section in SECTIONS if section.is_shown(is_fleet=is_fleet) for query in section.reads]
    rows = {query: query(scope, query_range) for query in dict.fromkeys((*PAGE_QUERIES, *queries))}
    return Metrics(query_range, rows)


def build_sections(page: Page) -> list[BuiltSection]:
    """Return the sections of a page in the order of their importance."""
    built = []
    for section in SECTIONS:
        values = section.build(page) if section.is_shown(is_fleet=page.is_fleet) else None
        if values is not None:
            templates = (f"sections/{section.name}.html", "sections/table.html")
            body = html.render_template(*templates, page=page, **values)
            built.append(BuiltSection(section, body, str(values.get("summary", ""))))
    return built
