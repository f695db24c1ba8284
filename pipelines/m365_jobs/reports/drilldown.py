"""List the jobs behind a number of the dashboard, by the parameters of the URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from m365_jobs.reports import html, labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.jobs import JOB, jobs_table
from m365_jobs.reports.metrics import SEEN
from m365_jobs.reports.page import Page
from m365_jobs.warehouse.tenant_scope import TenantScope

LIMIT = 200
"""The most jobs of a list; the newest come first."""

OUTCOMES = {"failed": "failure", "warning": "warning", "succeeded": "success", "running": "running"}


def list_jobs(scope: TenantScope, page: Page, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the jobs for a URL's parameters: ``job``, ``error``, ``kind``, ``outcome``, ``day`` and the filters."""
    job = parameters.get("job")
    if job:
        rows = scope.rows(f"SELECT {JOB}, 1 AS in_all FROM job_facts AS f WHERE f.id = :job", job=job)
    else:
        rows = _listed(scope, page, parameters)
    return {
        "heading": _heading(page, parameters),
        "table": jobs_table(page, rows, "Jobs"),
        "in_all": rows[0]["in_all"] if rows else 0,
        "errors": _errors(scope, page, job) if job and rows else None,
        "back": f"./?{page.shown.query()}",
    }


def _listed(scope: TenantScope, page: Page, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    seen = SEEN.format("f")
    since, until = _period(page, parameters.get("day", ""))
    conditions = [page.shown.of("f"), f"{seen} > :since AND {seen} <= :until"]
    values: dict[str, Any] = {**page.shown.values, "since": since, "until": until}
    if parameters.get("kind"):
        conditions.append("f.job_type = :kind")
        values["kind"] = parameters["kind"]
    if parameters.get("outcome") in OUTCOMES:
        conditions.append("f.outcome = :outcome")
        values["outcome"] = OUTCOMES[parameters["outcome"]]
    if "error" in parameters:
        conditions.append(
            """EXISTS (SELECT 1 FROM jobs__job_errors AS e
            WHERE e.tenant = f.tenant AND e.job_id = f.id AND coalesce(e.value, '') = :message)"""
        )
        values["message"] = parameters["error"]
    return scope.rows(
        f"""SELECT {JOB}, count(*) OVER () AS in_all FROM job_facts AS f
        WHERE {" AND ".join(conditions)} ORDER BY {seen} DESC, f.id LIMIT {LIMIT}""",
        **values,
    )


def _period(page: Page, day: str) -> tuple[datetime, datetime]:
    """Return the period of a list: a day of the time zone, or that of the errors."""
    try:
        begin = datetime.combine(date.fromisoformat(day), time(), page.zone)
        return begin - timedelta(microseconds=1), begin + timedelta(days=1)
    except ValueError:
        return page.metrics.as_of - timedelta(days=page.shown.days), page.metrics.as_of


def _errors(scope: TenantScope, page: Page, job: str) -> HtmlTable:
    rows = scope.rows(
        """SELECT e.value AS error_message, e.url, e.number FROM jobs__job_errors AS e WHERE e.job_id = :job
        ORDER BY e.error_index""",
        job=job,
    )
    cells = [[html.error_text(row["error_message"], row["url"], page.links_out), row["number"]] for row in rows]
    return HtmlTable("Errors of this job", ["Error", "Occurrences"], cells)


def _heading(page: Page, parameters: Mapping[str, str]) -> str:
    if parameters.get("job"):
        return f"Job {parameters['job']}"
    words = {"backup": "Backups", "restore": "Restores", "export": "Exports"}.get(parameters.get("kind", ""), "Jobs")
    of = [labels.service(page.shown.object_type)] if page.shown.object_type else []
    of += [page.shown.location] if page.shown.location else []
    of += [parameters["outcome"]] if parameters.get("outcome") in OUTCOMES else []
    of += [f'with the error "{parameters["error"] or "no message"}"'] if "error" in parameters else []
    of += [parameters["day"] if parameters.get("day") else f"last {page.period}"]
    return " · ".join([words, *of])
