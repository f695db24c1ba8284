"""Define the table of jobs that sections and lists of jobs share."""

from __future__ import annotations

from collections.abc import Iterable

from m365_jobs.reports import labels
from m365_jobs.reports.html import Cell, HtmlTable
from m365_jobs.reports.metrics import Row
from m365_jobs.reports.page import Page

JOB_FIELDS = """f.tenant, f.id, f.location, f.object_type, f.job_type, f.state, f.outcome, f.start_time, f.finish_time,
    f.total_number, f.failed_number"""
"""Columns of ``job_facts`` in a table of jobs, with the alias f."""

JOB_COLUMNS = ("Job", "Tenant", "Location", "Service", "Type")
"""Titles of the columns that identify a job."""


def job_cells(page: Page, row: Row) -> list[object]:
    """Return the cells under ``JOB_COLUMNS``."""
    return [
        Cell(row["id"], page.job_link(row)),
        row["tenant"],
        row["location"],
        labels.service_label(row["object_type"]),
        row["job_type"] or "unknown",
    ]


def jobs_table(page: Page, rows: Iterable[Row], caption: str) -> HtmlTable:
    """Return a table of jobs."""
    columns = [*JOB_COLUMNS, "State", "Started", "Ended", "Objects", "Failed objects"]
    cells = [
        [
            *job_cells(page, row),
            row["state"],
            labels.time_label(row["start_time"], page.zone),
            labels.time_label(row["finish_time"], page.zone, "not yet"),
            row["total_number"],
            row["failed_number"],
        ]
        for row in rows
    ]
    return HtmlTable(caption, columns, cells, "jobs")
