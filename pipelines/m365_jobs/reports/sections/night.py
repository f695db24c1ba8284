"""Show what ended last night: per service, and the jobs that failed."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.jobs import JOB, jobs_table
from m365_jobs.reports.metrics import QueryRange, Row, night_by_service, total
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.warehouse.tenant_scope import TenantScope

FAILED_JOBS = 20
"""Rows at most; the newest come first."""


def failed_jobs(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the jobs of a night that failed, the newest first, at most ``FAILED_JOBS``."""
    return scope.rows(
        f"""SELECT {JOB} FROM job_facts AS f
        WHERE {asked.shown.of("f")} AND {asked.night.condition} AND f.outcome = 'failure'
        ORDER BY f.finish_time DESC, f.id LIMIT {FAILED_JOBS}""",
        **asked.shown.values,
        **asked.night.values,
    )


def night(page: Page) -> dict[str, Any]:
    """Return what ended last night, per service, and the jobs that failed."""
    rows, failed = page.rows(night_by_service), page.rows(failed_jobs)
    sums = total(rows)
    columns = ["Service", "Jobs", "Failed", "Warnings", "Succeeded", "Other", "Failed objects", "Objects"]
    names = ("jobs", "failed_jobs", "warning_jobs", "succeeded_jobs", "other_jobs", "failed_objects", "total_objects")
    ordered = sorted(rows, key=lambda row: (-row["failed_jobs"], -row["warning_jobs"], row["object_type"] or ""))
    cells = [[labels.service(row["object_type"]), *(row[name] for name in names)] for row in ordered]
    return {
        "total": sums,
        "table": HtmlTable("Jobs of last night per service", columns, cells),
        "failed": jobs_table(page, failed, "Jobs that failed last night") if failed else None,
        "cut": sums["failed_jobs"] > len(failed),
        "summary": f"{labels.jobs_label(sums['jobs'])}, {sums['failed_jobs']:,} failed" if rows else "no job ended",
    }


NIGHT = Section("night", "Last night", night, reads=(night_by_service, failed_jobs))
