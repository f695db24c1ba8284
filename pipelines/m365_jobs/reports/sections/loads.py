"""Show the freshness of the data: the last loads, and the data that is not proved complete."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.shared_queries import read_completeness, read_loads

MAX_GAPS = 50
"""Rows of the table of gaps at most."""


def loads(page: Page) -> dict[str, Any]:
    """Return the last load of each tenant, and the data that is not proved complete."""
    incomplete = [row for row in page.completeness if not row["complete"]]
    cells = [
        [
            row["tenant"],
            labels.time_and_age_label(row["ended_at"], page.zone, page.drawn_at),
            labels.LOAD_RESULTS.get(row["status"], row["status"]),
            _complete_until(page, row["tenant"]),
            page.load_detail(row),
        ]
        for row in page.loads
    ]
    columns = ["Tenant", "Last load ended", "Result", "All data complete until", "Detail"]
    gaps = [
        [
            row["tenant"],
            labels.location_label(row["location"]),
            labels.services_label(row["object_type"]),
            labels.time_label(row["last_load_at"], page.zone),
            labels.time_label(row["complete_until"], page.zone),
        ]
        for row in incomplete[:MAX_GAPS]
    ]
    gap_columns = ["Tenant", "Location", "Service", "Last load", "Proved complete until"]
    failed = sum(row["status"] == "failed" for row in page.loads)
    return {
        "table": HtmlTable("The last load of each tenant", columns, cells),
        "gaps": HtmlTable("Data that is not proved complete", gap_columns, gaps) if gaps else None,
        "more": max(len(incomplete) - MAX_GAPS, 0),
        "summary": f"{failed:,} failed"
        if failed
        else f"{len(incomplete):,} not proved complete"
        if incomplete
        else "complete",
    }


def _complete_until(page: Page, tenant: str) -> str:
    """Return the time up to which all data of a tenant is proved complete."""
    ends = [row["complete_until"] for row in page.completeness if row["tenant"] == tenant]
    return labels.time_label(min(ends), page.zone) if ends and all(ends) else "never"


LOADS = Section("loads", "Freshness of this data", loads, reads=(read_loads, read_completeness))
