"""Write the monthly service report: success rate, missed days, failures with reasons, restores and licences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from m365_jobs.config.calendar import common_calendar
from m365_jobs.config.protection import protection
from m365_jobs.reports import billing, calendar, html, labels, metrics
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.paper import TITLE, page_tenants, paper_css
from m365_jobs.reports.sections.calendar import CALENDAR_LOOKS
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]


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
    def before(self) -> Month:
        """Return the month before."""
        return replace(self, first=(self.first - timedelta(days=1)).replace(day=1))

    @property
    def values(self) -> dict[str, datetime]:
        """Return its begin and end, for queries."""
        return {name: datetime.combine(month.first, time(), self.zone) for name, month in
                (("month_begin", self), ("month_end", self.next))}  # fmt: skip


BACKUPS = """SELECT f.object_type, count(*) AS backups,
    CAST(sum({succeeded}) AS BIGINT) AS succeeded, CAST(coalesce(sum(f.total_number), 0) AS BIGINT) AS objects,
    CAST(coalesce(sum(f.failed_number), 0) AS BIGINT) AS failed_objects
FROM job_facts AS f
WHERE f.job_type = 'backup' AND f.finish_time >= :month_begin AND f.finish_time < :month_end
GROUP BY f.object_type ORDER BY f.object_type"""

REASONS = """SELECT j.object_type, e.value AS error_message, count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs,
    CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences
FROM jobs__job_errors AS e JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
WHERE j.finish_time >= :month_begin AND j.finish_time < :month_end
GROUP BY j.object_type, e.value ORDER BY jobs DESC, occurrences DESC, j.object_type, e.value LIMIT 15"""

RESTORES = """SELECT f.object_type, count(*) AS restores,
    CAST(sum(CASE WHEN f.outcome IN ('success', 'warning') THEN 1 ELSE 0 END) AS BIGINT) AS succeeded,
    CAST(coalesce(sum(f.successful_number), 0) AS BIGINT) AS objects, max(f.finish_time) AS last_at
FROM job_facts AS f
WHERE f.job_type = 'restore' AND f.finish_time >= :month_begin AND f.finish_time < :month_end
GROUP BY f.object_type ORDER BY f.object_type"""


def service_report_html(scope: TenantScope, shown: Filter, zone: tzinfo | None, first: date, paper: str) -> str:
    """Return the report of a month as an HTML document, without commands, URLs and configuration keys."""
    names = page_tenants(scope, shown)
    shown = replace(shown, zone=zone or common_calendar(names).zone)
    month = Month(first, shown.zone)
    title = " · ".join([f"{TITLE}, service report {month.name}", *shown.tenants])
    made = datetime.now(UTC)
    values: dict[str, Any] = {"missing": True}
    if month.first <= made.astimezone(shown.zone).date() and (until := metrics.as_of(scope)):
        values = {"missing": False, **_values(scope, shown, month, until)}
    return html.render_template(
        "service_report.html",
        title=title,
        kind="report",
        css=html.css(),
        paper=paper_css(paper, title),
        created=made.isoformat(timespec="seconds"),
        description=f"Made {labels.moment(made, shown.zone)}. Days are those of {shown.zone_name}.",
        month=month,
        **values,
    )


def _values(scope: TenantScope, shown: Filter, month: Month, until: datetime) -> dict[str, Any]:
    backups = BACKUPS.format(succeeded=calendar.SUCCEEDED)
    tolerated = protection().tolerated_failed_ratio
    this, before = (
        scope.rows(backups, **part.values, tolerated=tolerated) for part in (month, month.before)
    )  # fmt: skip
    rows = _calendar(scope, shown, month, until)
    restores = scope.rows(RESTORES, **month.values)
    return {
        "rate": _rate(this),
        "rate_before": _rate(before),
        "totals": metrics.total(this),
        "totals_before": metrics.total(before),
        "services": _services(this, before, rows),
        "calendar": [(_name(row, len({row.tenant for row in rows}) > 1), row) for row in rows],
        "looks": CALENDAR_LOOKS,
        "results": [(result, CALENDAR_LOOKS[result.value]) for result in calendar.DayResult],
        "days": [day.day for day in rows[0].days] if rows else [],
        "missed": sum(row.count(calendar.DayResult.missed) for row in rows),
        "reasons": _reasons(scope.rows(REASONS, **month.values)),
        "restores": _restores(restores, shown.zone),
        "licences": _licences(scope, month),
        "ends": labels.moment(min(until, month.values["month_end"]), shown.zone),
        "unfinished": until < month.values["month_end"],
    }


def _calendar(scope: TenantScope, shown: Filter, month: Month, until: datetime) -> list[calendar.CalendarRow]:
    last = min(until, month.values["month_end"] - timedelta(seconds=1))
    days = last.astimezone(shown.zone).date().day
    asked = metrics.QueryRange(replace(shown, days=days), last)
    rows = calendar.calendar_rows(
        calendar.backup_days(scope, asked),
        scope.rows("SELECT * FROM protection_status AS p"),
        metrics.completeness(scope, asked),
        calendar.due_from(scope, asked),
        asked,
    )
    # What is expected today may not have been due in that month.
    return [row for row in rows if row.count(calendar.DayResult.no_data) < len(row.days)]


def _name(row: calendar.CalendarRow, several_tenants: bool) -> str:
    names = [row.tenant] if several_tenants else []
    return " · ".join([*names, *([row.location] if row.location else []), labels.service(row.object_type)])


def _rate(rows: list[Row]) -> float | None:
    backups = sum(row["backups"] for row in rows)
    return sum(row["succeeded"] for row in rows) / backups if backups else None


def _share(row: Row) -> float | None:
    return row["succeeded"] / row["backups"] if row["backups"] else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _services(this: list[Row], before: list[Row], days: list[calendar.CalendarRow]) -> HtmlTable:
    earlier = {row["object_type"]: row for row in before}
    none = {"backups": 0, "succeeded": 0, "objects": 0, "failed_objects": 0}
    silent = {row.object_type for row in days if row.count(calendar.DayResult.missed)}
    silent -= {row["object_type"] for row in this}
    rows = [*this, *({"object_type": name, **none} for name in silent)]
    cells = []
    for row in sorted(rows, key=lambda row: (_share(row) or 0, labels.service(row["object_type"]))):
        same = [part for part in days if part.object_type == row["object_type"]]
        last = earlier.get(row["object_type"])
        cells.append(
            [
                labels.service(row["object_type"]),
                _percent(_share(row)),
                _percent(_share(last)) if last else "–",
                row["backups"],
                row["backups"] - row["succeeded"],
                sum(part.count(calendar.DayResult.missed) for part in same),
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


def _reasons(rows: list[Row]) -> HtmlTable:
    cells = [
        [labels.service(row["object_type"]), row["error_message"] or "no message", row["jobs"], row["occurrences"]]
        for row in rows
    ]
    return HtmlTable("Reasons of failures", ["Service", "Reason", "Jobs", "Occurrences"], cells)


def _restores(rows: list[Row], zone: tzinfo) -> HtmlTable:
    cells = [
        [
            labels.service(row["object_type"]),
            row["restores"],
            row["succeeded"],
            row["objects"],
            labels.moment(row["last_at"], zone),
        ]
        for row in rows
    ]
    return HtmlTable(
        "Restores of the month", ["Service", "Restores", "Succeeded", "Objects restored", "Last restore"], cells
    )


def _licences(scope: TenantScope, month: Month) -> HtmlTable:
    cells = [
        [row["tenant"], part.name, row["peak_seats"], row["purchased_seats"], _gigabytes(row["peak_protected_gb"])]
        for part in (month, month.before)
        for row in billing.billing_rows(scope, part.key)
    ]
    return HtmlTable("Licences", ["Tenant", "Month", "Peak seats", "Seats bought", "Peak protected data"], cells)


def _gigabytes(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f} GB"
