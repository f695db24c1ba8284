"""List the jobs behind a number of the dashboard, by the parameters of the URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from m365_jobs.reports import html, labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.jobs import JOB_FIELDS, jobs_table
from m365_jobs.reports.metrics import Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.shared_queries import ERROR_TIME
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_LISTED_JOBS = 200
"""Number of jobs in a list at most; the newest come first."""

OUTCOME_PARAMETERS = {"failed": "failure", "warning": "warning", "succeeded": "success", "running": "running"}
"""Value of the URL's parameter ``outcome`` to the outcome of a job."""


def list_jobs(scope: TenantScope, page: Page, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template values of a list of jobs for the parameters of a URL.

    They are ``job``, ``error``, ``kind``, ``outcome``, ``day`` (in the page's time zone) and the filters of the page.
    """
    job = parameters.get("job")
    if job:
        rows = scope.rows(f"SELECT {JOB_FIELDS}, 1 AS in_all FROM job_facts AS f WHERE f.id = :job", job=job)
    else:
        rows = _read_jobs(scope, page, parameters)
    return {
        "heading": _heading(page, parameters),
        "table": jobs_table(page, rows, "Jobs"),
        "in_all": rows[0]["in_all"] if rows else 0,
        "errors": _errors(scope, page, job) if job and rows else None,
        "back": f"./?{page.filters.query()}",
    }


def _read_jobs(scope: TenantScope, page: Page, parameters: Mapping[str, str]) -> list[Row]:
    """Return the jobs for the parameters of a URL; ``in_all`` is their number without the limit."""
    job_time = ERROR_TIME.format("f")
    since, until = _period(page, parameters.get("day", ""))
    conditions = [page.filters.condition("f"), f"{job_time} > :since AND {job_time} <= :until"]
    values: dict[str, Any] = {**page.filters.values, "since": since, "until": until}
    if parameters.get("kind"):
        conditions.append("f.job_type = :kind")
        values["kind"] = parameters["kind"]
    if parameters.get("outcome") in OUTCOME_PARAMETERS:
        conditions.append("f.outcome = :outcome")
        values["outcome"] = OUTCOME_PARAMETERS[parameters["outcome"]]
    if "error" in parameters:
        conditions.append(
            """EXISTS (SELECT 1 FROM jobs__job_errors AS e
            WHERE e.tenant = f.tenant AND e.job_id = f.id AND coalesce(e.value, '') = :message)"""
        )
        values["message"] = parameters["error"]
    return scope.rows(
        f"""SELECT {JOB_FIELDS}, count(*) OVER () AS in_all FROM job_facts AS f
        WHERE {" AND ".join(conditions)}
        ORDER BY {job_time} DESC, f.tenant, f.id COLLATE "C" LIMIT {MAX_LISTED_JOBS}""",
        **values,
    )


def _period(page: Page, day: str) -> tuple[datetime, datetime]:
    """Return the period of a list without its start: a day in the time zone, or the period of errors if invalid."""
    try:
        last_moment = datetime.combine(date.fromisoformat(day), time(), page.zone) - timedelta(microseconds=1)
        return last_moment, last_moment + timedelta(days=1)
    except ValueError:
        return page.metrics.as_of - timedelta(days=page.filters.days), page.metrics.as_of


def _errors(scope: TenantScope, page: Page, job: str) -> HtmlTable:
    rows = scope.rows(
        """SELECT e.value AS error_message, e.url, e.number FROM jobs__job_errors AS e WHERE e.job_id = :job
        ORDER BY e.error_index""",
        job=job,
    )
    cells = [[html.error_cell(row["error_message"], row["url"], page.has_help_links), row["number"]] for row in rows]
    return HtmlTable("Errors of this job", ["Error", "Occurrences"], cells)


def _heading(page: Page, parameters: Mapping[str, str]) -> str:
    """Return the heading of a list: the kind of jobs and the filters."""
    if parameters.get("job"):
        return f"Job {parameters['job']}"
    title = {"backup": "Backups", "restore": "Restores", "export": "Exports"}.get(parameters.get("kind", ""), "Jobs")
    parts = [labels.service_label(page.filters.object_type)] if page.filters.object_type else []
    parts += [page.filters.location] if page.filters.location else []
    parts += [parameters["outcome"]] if parameters.get("outcome") in OUTCOME_PARAMETERS else []
    parts += [f'with the error "{parameters["error"] or "no message"}"'] if "error" in parameters else []
    parts += [parameters["day"] if parameters.get("day") else f"last {page.period}"]
    return " · ".join([title, *parts])
