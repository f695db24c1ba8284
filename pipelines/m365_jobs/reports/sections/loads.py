"""Show how fresh the data is: the last loads, and what is not proved complete."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import completeness, read_loads
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section


def loads(page: Page) -> dict[str, Any]:
    """Return how the last loads went, and which data is not proved complete."""
    short = [row for row in page.completeness if not row["complete"]]
    cells = [
        [
            row["tenant"],
            labels.age(row["ended_at"], page.zone, page.drawn_at),
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
            labels.service(row["object_type"]) if row["object_type"] else "All services",
            labels.moment(row["last_load_at"], page.zone),
            labels.moment(row["complete_until"], page.zone),
        ]
        for row in short[:GAPS]
    ]
    gap_columns = ["Tenant", "Location", "Service", "Last load", "Proved complete until"]
    failed = sum(row["status"] == "failed" for row in page.loads)
    return {
        "table": HtmlTable("The last load of each tenant", columns, cells),
        "gaps": HtmlTable("Data that is not proved complete", gap_columns, gaps) if gaps else None,
        "more": max(len(short) - GAPS, 0),
        "summary": f"{failed:,} failed" if failed else f"{len(short):,} not proved complete" if short else "complete",
    }


GAPS = 50
"""Rows of the table of gaps at most."""


def _complete_until(page: Page, tenant: str) -> str:
    ends = [row["complete_until"] for row in page.completeness if row["tenant"] == tenant]
    return labels.moment(min(ends), page.zone) if ends and all(ends) else "never"


LOADS = Section("loads", "Freshness of this data", loads, reads=(read_loads, completeness))
