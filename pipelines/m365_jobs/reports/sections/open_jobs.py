"""Show the jobs in progress."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.jobs import JOB_COLUMNS, job_cells
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_OPEN_JOBS = 50
"""Rows of the table at most; those that run longest come first."""


def read_open_jobs(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return jobs in progress, those that run longest first, at most ``MAX_OPEN_JOBS``; ``in_all`` is their number."""
    return scope.rows(
        f"""SELECT o.*, count(*) OVER () AS in_all FROM open_jobs AS o WHERE {query_range.filters.condition("o")}
        ORDER BY o.hours_open DESC NULLS LAST, o.tenant, o.id COLLATE "C" LIMIT {MAX_OPEN_JOBS}""",
        **query_range.filters.values,
    )


def open_jobs(page: Page) -> dict[str, Any]:
    """Return the jobs in progress."""
    rows = page.rows(read_open_jobs)
    columns = [*JOB_COLUMNS, "Started", "Open for"]
    cells = [
        [
            *job_cells(page, row),
            labels.time_label(row["start_time"], page.zone),
            labels.open_label(row["hours_open"]),
        ]
        for row in rows
    ]
    in_all = rows[0]["in_all"] if rows else 0
    summary = f"{in_all:,} running" if rows else "none"
    return {"table": HtmlTable("Jobs in progress", columns, cells), "rows": rows, "in_all": in_all, "summary": summary}


OPEN = Section("open_jobs", "Open jobs", open_jobs, reads=(read_open_jobs,))
