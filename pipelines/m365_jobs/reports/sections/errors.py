"""Show the errors that occurred most."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from m365_jobs.reports import html, labels, svg
from m365_jobs.reports.html import Cell, HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.shared_queries import ERROR_TIME
from m365_jobs.reports.view import DAY
from m365_jobs.text import format_count
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_ERRORS = 20
"""Rows of the table at most."""

MAX_NEW_ERRORS = 3
"""New errors at most; the most frequent come first."""

NEW_ERROR_HISTORY = timedelta(days=30)
"""Time without an error after which it is new."""

COUNTED = f"""SELECT j.object_type, e.value AS error_message, CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences,
            count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs, min({ERROR_TIME.format("j")}) AS first_seen,
            max({ERROR_TIME.format("j")}) AS last_seen, max(nullif(e.url, '')) AS url
        FROM jobs__job_errors AS e
        JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
        WHERE {{condition}} AND {ERROR_TIME.format("j")} > :since AND {ERROR_TIME.format("j")} <= :until
        GROUP BY j.object_type, e.value"""
"""Query of the errors of a time; the placeholder is the condition of the filters."""

MOST_FREQUENT = 'c.occurrences DESC, c.object_type, c.error_message COLLATE "C"'
"""Order of errors, which is the same in databases of any language."""


def read_errors(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the errors of the period per service and message, counted as in ``error_summary``, at most 20.

    ``in_all`` is the number of errors without the limit, ``all_occurrences`` that of their occurrences.
    """
    return scope.rows(
        f"""WITH counted AS ({COUNTED.format(condition=query_range.filters.condition("j"))})
        SELECT c.*, count(*) OVER () AS in_all, CAST(sum(c.occurrences) OVER () AS BIGINT) AS all_occurrences
        FROM counted AS c ORDER BY {MOST_FREQUENT} LIMIT {MAX_ERRORS}""",
        **query_range.filters.values,
        since=query_range.until - timedelta(days=query_range.filters.days),
        until=query_range.until,
    )


def read_new_errors(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the errors of the last 24 hours that did not occur in the 30 days before, at most ``MAX_NEW_ERRORS``."""
    yesterday = query_range.until - DAY
    return scope.rows(
        f"""WITH counted AS ({COUNTED.format(condition=query_range.filters.condition("j"))})
        SELECT c.object_type, c.error_message FROM counted AS c WHERE c.first_seen > :yesterday
        ORDER BY {MOST_FREQUENT} LIMIT {MAX_NEW_ERRORS}""",
        **query_range.filters.values,
        since=yesterday - NEW_ERROR_HISTORY,
        until=query_range.until,
        yesterday=yesterday,
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
    table = HtmlTable("Errors that occurred most", columns, cells, "errors")
    occurrences, in_all = (rows[0]["all_occurrences"], rows[0]["in_all"]) if rows else (0, 0)
    summary = f"{format_count(occurrences, 'occurrence')} in {page.period}" if rows else "none"
    return {"table": table, "rows": rows, "in_all": in_all, "summary": summary}


ERRORS = Section("errors", "Top errors", errors, reads=(read_errors,))
