"""Render the monthly service report: success rate, missed days, failures with reasons, restores and licences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config.calendar import common_calendar
from m365_jobs.config.protection import protection
from m365_jobs.reports import billing, calendar, labels, metrics, shared_queries
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import Row
from m365_jobs.reports.paper import TITLE, page_tenants, render_paper
from m365_jobs.reports.sections.calendar import CALENDAR_LOOKS
from m365_jobs.reports.view import Filter
from m365_jobs.text import format_percent
from m365_jobs.warehouse.tenant_scope import TenantScope


@dataclass(frozen=True)
class Month:
    """Describe a calendar month of a time zone."""

    first: date
    zone: tzinfo

    @property
    def name(self) -> str:
        """Return the month for people."""
        return f"{self.first:%B %Y}"

    @property
    def key(self) -> str:
        """Return the month as 2026-11."""
        return f"{self.first:%Y-%m}"

    @property
    def next(self) -> Month:
        """Return the month after."""
        return replace(self, first=(self.first.replace(day=28) + timedelta(days=4)).replace(day=1))

    @property
    def previous(self) -> Month:
        """Return the month before."""
        return replace(self, first=(self.first - timedelta(days=1)).replace(day=1))

    @property
    def values(self) -> dict[str, datetime]:
        """Return its start and end in the time zone, as parameters of queries."""
        return {name: datetime.combine(month.first, time(), self.zone) for name, month in
                (("month_begin", self), ("month_end", self.next))}  # fmt: skip


MAX_REASONS = 15
"""Rows of the table of reasons at most."""

BACKUPS = """SELECT f.object_type, count(*) AS backups,
    CAST(sum({succeeded}) AS BIGINT) AS succeeded, CAST(coalesce(sum(f.total_number), 0) AS BIGINT) AS objects,
    CAST(coalesce(sum(f.failed_number), 0) AS BIGINT) AS failed_objects
FROM job_facts AS f
WHERE f.job_type = 'backup' AND f.finish_time >= :month_begin AND f.finish_time < :month_end
GROUP BY f.object_type ORDER BY f.object_type"""
"""Query of the backups of a month; the placeholder is ``SUCCEEDED_SQL``."""

REASONS = f"""SELECT j.object_type, e.value AS error_message, count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs,
    CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences
FROM jobs__job_errors AS e JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
WHERE j.finish_time >= :month_begin AND j.finish_time < :month_end
GROUP BY j.object_type, e.value ORDER BY jobs DESC, occurrences DESC, j.object_type, e.value COLLATE "C"
LIMIT {MAX_REASONS}"""

RESTORES = """SELECT f.object_type, count(*) AS restores,
    CAST(sum(CASE WHEN f.outcome IN ('success', 'warning') THEN 1 ELSE 0 END) AS BIGINT) AS succeeded,
    CAST(coalesce(sum(f.successful_number), 0) AS BIGINT) AS objects, max(f.finish_time) AS last_at
FROM job_facts AS f
WHERE f.job_type = 'restore' AND f.finish_time >= :month_begin AND f.finish_time < :month_end
GROUP BY f.object_type ORDER BY f.object_type"""


def service_report_html(scope: TenantScope, filters: Filter, zone: tzinfo | None, first: date, paper: str) -> str:
    """Return the report of a month as an HTML document, without commands, URLs and configuration keys.

    ``first`` is the first day of the month, ``paper`` a paper size of CSS, or ``IMAGE_PAPER``.
    """
    names = page_tenants(scope, filters)
    filters = replace(filters, zone=zone or common_calendar(names).zone)
    month = Month(first, filters.zone)
    title = " · ".join([f"{TITLE}, service report {month.name}", *filters.tenants])
    created_at = datetime.now(UTC)
    values: dict[str, Any] = {"missing": True}
    try:
        until = metrics.as_of(scope)
    except DestinationUndefinedEntity:
        # Before the first load, or after first loads that failed, which create the tables of logs only.
        until = None
    if until and month.first <= created_at.astimezone(filters.zone).date():
        values = {"missing": False, **_template_values(scope, filters, month, until)}
    return render_paper(
        "service_report.html",
        title,
        paper,
        created=created_at.isoformat(timespec="seconds"),
        description=f"Made {labels.time_label(created_at, filters.zone)}. Days are those of {filters.zone_name}.",
        month=month,
        **values,
    )


def _template_values(scope: TenantScope, filters: Filter, month: Month, until: datetime) -> dict[str, Any]:
    """Return the counts and tables of the template; ``until`` is the end of the data (UTC)."""
    backups = BACKUPS.format(succeeded=calendar.SUCCEEDED_SQL)
    tolerated = protection().tolerated_failed_ratio
    current, previous = (
        scope.rows(backups, **part.values, tolerated=tolerated) for part in (month, month.previous)
    )  # fmt: skip
    rows = _calendar_rows(scope, filters, month, until)
    restores = scope.rows(RESTORES, **month.values)
    return {
        "rate": _success_rate(current),
        "rate_before": _success_rate(previous),
        "percent": _percent,
        "totals": shared_queries.sum_columns(current),
        "totals_before": shared_queries.sum_columns(previous),
        "services": _service_table(current, previous, rows),
        "calendar": [(_partition_label(row, len({row.tenant for row in rows}) > 1), row) for row in rows],
        "looks": CALENDAR_LOOKS,
        "results": [(result, CALENDAR_LOOKS[result.value]) for result in calendar.DayResult],
        "days": [day.day for day in rows[0].days] if rows else [],
        "missed": sum(row.count(calendar.DayResult.missed) for row in rows),
        "reasons": _reason_table(scope.rows(REASONS, **month.values)),
        "restores": _restore_table(restores, filters.zone),
        "licences": _license_table(scope, month),
        "ends": labels.time_label(min(until, month.values["month_end"]), filters.zone),
        "unfinished": until < month.values["month_end"],
    }


def _calendar_rows(scope: TenantScope, filters: Filter, month: Month, until: datetime) -> list[calendar.CalendarRow]:
    """Return the calendar of the services with data in the month."""
    last = min(until, month.values["month_end"] - timedelta(seconds=1))
    days = last.astimezone(filters.zone).date().day
    query_range = metrics.QueryRange(replace(filters, days=days), last)
    rows = calendar.calendar_rows(
        calendar.read_backup_days(scope, query_range),
        scope.rows("SELECT * FROM protection_status AS p"),
        shared_queries.read_completeness(scope, query_range),
        calendar.read_due_times(scope, query_range),
        query_range,
    )
    # protection_status is that of today: its services may have had no data in that month.
    return [row for row in rows if row.count(calendar.DayResult.no_data) < len(row.days)]


def _partition_label(row: calendar.CalendarRow, several_tenants: bool) -> str:
    """Return the label of a row, with the tenant if the report has several."""
    names = [row.tenant] if several_tenants else []
    return " · ".join([*names, *([row.location] if row.location else []), labels.service_label(row.object_type)])


def _success_rate(rows: list[Row]) -> float | None:
    """Return the share of backups that succeeded, 0 to 1; None without backups."""
    backups = sum(row["backups"] for row in rows)
    return sum(row["succeeded"] for row in rows) / backups if backups else None


def _percent(share: float | None) -> str:
    return "–" if share is None else format_percent(share, 1)


def _service_table(current: list[Row], previous: list[Row], calendar_rows: list[calendar.CalendarRow]) -> HtmlTable:
    """Return the table of services: their backups of the month, and the success rate of the month before."""
    previous_rows = {row["object_type"]: row for row in previous}
    no_backups = {"backups": 0, "succeeded": 0, "objects": 0, "failed_objects": 0}
    without_backups = {row.object_type for row in calendar_rows if row.count(calendar.DayResult.missed)}
    without_backups -= {row["object_type"] for row in current}
    rows = [*current, *({"object_type": name, **no_backups} for name in without_backups)]
    cells = []
    for row in sorted(rows, key=lambda row: (_success_rate([row]) or 0, labels.service_label(row["object_type"]))):
        of_service = [part for part in calendar_rows if part.object_type == row["object_type"]]
        before = previous_rows.get(row["object_type"])
        cells.append(
            [
                labels.service_label(row["object_type"]),
                _percent(_success_rate([row])),
                _percent(_success_rate([before])) if before else "–",
                row["backups"],
                row["backups"] - row["succeeded"],
                sum(part.count(calendar.DayResult.missed) for part in of_service),
                row["objects"],
                row["failed_objects"],
            ]
        )
    columns = [
        "Service",
        "Success rate",
        "Month before",
        "Backups",
        "Failed",
        "Missed days",
        "Objects",
        "Failed objects",
    ]
    return HtmlTable("Backups of the month per service", columns, cells)


def _reason_table(rows: list[Row]) -> HtmlTable:
    cells = [
        [
            labels.service_label(row["object_type"]),
            row["error_message"] or "no message",
            row["jobs"],
            row["occurrences"],
        ]
        for row in rows
    ]
    return HtmlTable("Reasons of failures", ["Service", "Reason", "Jobs", "Occurrences"], cells)


def _restore_table(rows: list[Row], zone: tzinfo) -> HtmlTable:
    cells = [
        [
            labels.service_label(row["object_type"]),
            row["restores"],
            row["succeeded"],
            row["objects"],
            labels.time_label(row["last_at"], zone),
        ]
        for row in rows
    ]
    return HtmlTable(
        "Restores of the month", ["Service", "Restores", "Succeeded", "Objects restored", "Last restore"], cells
    )


def _license_table(scope: TenantScope, month: Month) -> HtmlTable:
    cells = [
        [row["tenant"], part.name, row["peak_seats"], row["purchased_seats"], _gigabytes(row["peak_protected_gb"])]
        for part in (month, month.previous)
        for row in billing.billing_rows(scope, part.key)
    ]
    return HtmlTable("Licences", ["Tenant", "Month", "Peak seats", "Seats bought", "Peak protected data"], cells)


def _gigabytes(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f} GB"
