"""Build the sections below the first screen: last night, calendar, trends, durations, errors, open jobs, freshness."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import calendar as backup_calendar
from m365_jobs.reports import charts, html, labels
from m365_jobs.reports.html import Cell, HtmlTable
from m365_jobs.reports.metrics import total
from m365_jobs.reports.page import Page
from m365_jobs.text import format_count


def night(page: Page) -> dict[str, Any]:
    """Return what ended last night, per service, and the jobs that failed."""
    rows, failed = page.metrics.night_by_service, page.metrics.failed
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


def jobs_table(page: Page, rows: Any, caption: str) -> HtmlTable:
    """Return a table of jobs."""
    columns = ["Job", "Tenant", "Location", "Service", "Type", "State", "Started", "Ended", "Objects", "Failed objects"]
    cells = [
        [
            Cell(row["id"], page.job_link(row)),
            row["tenant"],
            labels.location_label(row["location"]),
            labels.service(row["object_type"]),
            row["job_type"] or "unknown",
            row["state"],
            labels.moment(row["start_time"], page.zone),
            labels.moment(row["finish_time"], page.zone, "not yet"),
            row["total_number"],
            row["failed_number"],
        ]
        for row in rows
    ]
    return HtmlTable(caption, columns, cells, "jobs")


def calendar(page: Page) -> dict[str, Any] | None:
    """Return the services day by day."""
    if page.is_fleet:
        return None
    rows = backup_calendar.calendar_rows(
        page.metrics.days, page.protection, page.completeness, page.metrics.due, page.shown, page.metrics.as_of
    )
    if not rows:
        return None
    results = list(backup_calendar.DayResult)
    names = [page.partition(vars(row)) for row in rows]
    cells = [[name, *(row.count(result) for result in results)] for name, row in zip(names, rows, strict=True)]
    totals = {result: sum(row.count(result) for row in rows) for result in results}
    return {
        "rows": list(zip(names, rows, strict=True)),
        "results": [(result, CALENDAR_LOOKS[result.value]) for result in results],
        "looks": CALENDAR_LOOKS,
        "table": HtmlTable("Days by result", ["Service", *(result.label for result in results)], cells),
        "days": [day.day for day in rows[0].days],
        "summary": ", ".join(f"{totals[result]:,} {result.label.lower()}" for result in results[1:3])
        + f" in {format_count(len(rows[0].days), 'day')}",
    }


CALENDAR_LOOKS = {
    "met": ("check", "good"),
    "failed": ("cross", "bad"),
    "missed": ("mark", "poor"),
    "skipped": ("dash", "grey"),
    "no_data": ("empty", "grey"),
}
"""Sign and tone of each result."""


def trends(page: Page) -> dict[str, Any]:
    """Return jobs and objects day by day."""
    rows, last = page.metrics.trend, page.metrics.as_of.astimezone(page.zone).date()
    days = charts.last_days(last, page.shown.days)
    sums = total(rows)
    share = f", {sums['succeeded_jobs'] / sums['jobs']:.0%} succeeded" if sums["jobs"] else ""
    return {
        "rows": rows,
        "outcomes": charts.outcomes(rows, days),
        "legend": charts.legend(rows),
        "objects": charts.values(rows, days, "total_objects", "Objects", "busy"),
        "failed_objects": charts.values(rows, days, "failed_objects", "Failed objects", "bad"),
        "summary": f"{labels.jobs_label(sums['jobs'])} in {page.period}{share}",
    }


def durations(page: Page) -> dict[str, Any]:
    """Return how long backups took, against what is usual."""
    rows = sorted(page.metrics.durations, key=lambda row: (not charts.slow(row), labels.service(row["object_type"])))
    slow = [labels.service(row["object_type"]) for row in rows if charts.slow(row)]
    scale = charts.DurationScale(rows)
    cells = []
    for row in rows:
        last = labels.span(row["median"]) if row["jobs"] else "–"
        usual = labels.span(row["usual"])
        between = f"{labels.span(row['low'])} to {labels.span(row['high'])}" if row["usual"] is not None else "unknown"
        name = labels.service(row["object_type"])
        text = f"{name}: last night {last}, usually {usual}, 80 % took {between}"
        cells.append([name, last, usual, between, row["jobs"], scale.bar(row, text)])
    columns = ["Service", "Last night", "Usually", "80 % took", "Backups", scale.axis()]
    summary = f"slower: {html.sentence_list(slow)}" if slow else "no service was slower than usual"
    return {"table": HtmlTable("How long backups took", columns, cells, "wide"), "slow": slow, "summary": summary}


def errors(page: Page) -> dict[str, Any]:
    """Return the errors that occurred most."""
    rows = page.metrics.errors
    largest = max((row["occurrences"] for row in rows), default=0)
    cells = [
        [
            labels.service(row["object_type"]),
            html.error_text(row["error_message"], row["url"], page.links_out),
            charts.share_bar(row["occurrences"], largest),
            row["occurrences"],
            Cell(row["jobs"], page.error_link(row)),
            labels.age(row["last_seen"], page.zone, page.drawn_at),
        ]
        for row in rows
    ]
    columns = ["Service", "Error", "Share", "Occurrences", "Jobs", "Last seen"]
    summary = f"{sum(row['occurrences'] for row in rows):,} occurrences in {page.period}" if rows else "none"
    return {"table": HtmlTable("Errors that occurred most", columns, cells, "errors"), "rows": rows, "summary": summary}


def open_jobs(page: Page) -> dict[str, Any]:
    """Return the jobs in progress."""
    rows = page.metrics.open_jobs
    columns = ["Job", "Tenant", "Location", "Service", "Type", "Started", "Open for"]
    cells = [
        [
            Cell(row["id"], page.job_link(row)),
            row["tenant"],
            labels.location_label(row["location"]),
            labels.service(row["object_type"]),
            row["job_type"] or "unknown",
            labels.moment(row["start_time"], page.zone),
            labels.span(row["hours_open"]),
        ]
        for row in rows
    ]
    in_all = rows[0]["in_all"] if rows else 0
    summary = f"{in_all:,} running" if rows else "none"
    return {"table": HtmlTable("Jobs in progress", columns, cells), "rows": rows, "in_all": in_all, "summary": summary}


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
