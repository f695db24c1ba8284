"""Show what ended last night: per service, and the jobs that failed."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.jobs import JOB_FIELDS, jobs_table
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.shared_queries import read_night, sum_columns
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_FAILED_JOBS = 20
"""Rows of the table at most; the newest come first."""


def read_failed_jobs(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the failed jobs of the last night, the newest first, at most ``MAX_FAILED_JOBS``."""
    return scope.rows(
        f"""SELECT {JOB_FIELDS} FROM job_facts AS f
        WHERE {query_range.filters.condition("f")} AND {query_range.night.condition} AND f.outcome = 'failure'
        ORDER BY f.finish_time DESC, f.tenant, f.id COLLATE "C" LIMIT {MAX_FAILED_JOBS}""",
        **query_range.filters.values,
        **query_range.night.values,
    )


def night(page: Page) -> dict[str, Any]:
    """Return what ended last night, per service, and the jobs that failed."""
    rows, failed = page.rows(read_night), page.rows(read_failed_jobs)
    sums = sum_columns(rows)
    columns = ["Service", "Jobs", "Failed", "Warnings", "Succeeded", "Other", "Failed objects", "Objects"]
    names = ("jobs", "failed_jobs", "warning_jobs", "succeeded_jobs", "other_jobs", "failed_objects", "total_objects")
    ordered = sorted(rows, key=lambda row: (-row["failed_jobs"], -row["warning_jobs"], row["object_type"] or ""))
    cells = [[labels.service_label(row["object_type"]), *(row[name] for name in names)] for row in ordered]
    return {
        "total": sums,
        "table": HtmlTable("Jobs of last night per service", columns, cells),
        "failed": jobs_table(page, failed, "Jobs that failed last night") if failed else None,
        "cut": sums["failed_jobs"] > len(failed),
        "summary": f"{labels.jobs_label(sums['jobs'])}, {sums['failed_jobs']:,} failed" if rows else "no job ended",
    }


NIGHT = Section("night", "Last night", night, reads=(read_night, read_failed_jobs))
