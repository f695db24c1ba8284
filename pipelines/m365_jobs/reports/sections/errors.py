"""Show the errors that occurred most."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from m365_jobs.reports import html, labels, svg
from m365_jobs.reports.html import Cell, HtmlTable
from m365_jobs.reports.metrics import ERROR_TIME, QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_ERRORS = 20
"""Rows of the table at most."""


def read_errors(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the errors of the period per service and message, counted as in ``error_summary``, at most 20."""
    seen = ERROR_TIME.format("j")
    return scope.rows(
        f"""SELECT j.object_type, e.value AS error_message, CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences,
            count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs, min({seen}) AS first_seen, max({seen}) AS last_seen,
            max(nullif(e.url, '')) AS url
        FROM jobs__job_errors AS e
        JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
        WHERE {query_range.filters.condition("j")} AND {seen} > :since AND {seen} <= :until
        GROUP BY j.object_type, e.value ORDER BY occurrences DESC, j.object_type, e.value LIMIT {MAX_ERRORS}""",
        **query_range.filters.values,
        since=query_range.until - timedelta(days=query_range.filters.days),
        until=query_range.until,
    )


def errors(page: Page) -> dict[str, Any]:
    """Return the errors that occurred most."""
    rows = page.rows(read_errors)
    largest = max((row["occurrences"] for row in rows), default=0)
    cells = [
        [
            labels.service_label(row["object_type"]),
            html.error_cell(row["error_message"], row["url"], page.has_help_links),
            svg.share_bar(row["occurrences"], largest),
            row["occurrences"],
            Cell(row["jobs"], page.error_link(row)),
            labels.time_and_age_label(row["last_seen"], page.zone, page.drawn_at),
        ]
        for row in rows
    ]
    columns = ["Service", "Error", "Share", "Occurrences", "Jobs", "Last seen"]
    summary = f"{sum(row['occurrences'] for row in rows):,} occurrences in {page.period}" if rows else "none"
    return {"table": HtmlTable("Errors that occurred most", columns, cells, "errors"), "rows": rows, "summary": summary}


ERRORS = Section("errors", "Top errors", errors, reads=(read_errors,))
