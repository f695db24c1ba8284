"""Read and show the rows of companions: scheduled backups, licences, retention and restore evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.view import Filter
from m365_jobs.text import format_count, singular_period
from m365_jobs.warehouse.tenant_scope import TenantScope

if TYPE_CHECKING:
    from m365_jobs.reports.page import Page

Row = dict[str, Any]

ROWS = 100
"""Rows of retention and its changes at most."""


@dataclass(frozen=True)
class ContextRows:
    """Hold the rows that stand beside the jobs; none where no load read them."""

    schedule: Sequence[Row] = ()
    licenses: Sequence[Row] = ()
    retention: Sequence[Row] = ()
    changes: Sequence[Row] = ()
    restores: Sequence[Row] = ()


def read_context(scope: TenantScope, shown: Filter, until: datetime, *, by_service: bool) -> ContextRows:
    """Return the rows of companions; ``by_service`` is for the page of one tenant, a fleet shows licences only."""
    try:
        licenses = _licenses(scope)
        if not by_service:
            return ContextRows(licenses=licenses)
        since = until - timedelta(days=shown.days)
        return ContextRows(
            _schedule(scope, shown, until), licenses, _retention(scope), _changes(scope, since), _restores(scope, shown)
        )
    except DestinationUndefinedEntity:
        return ContextRows()


def _schedule(scope: TenantScope, shown: Filter, until: datetime) -> list[Row]:
    # The view reads 400 days of jobs, which a warehouse without schedules need not pay for.
    if not scope.rows("SELECT count(*) AS schedules FROM backup_schedules AS s")[0]["schedules"]:
        return []
    return scope.rows(
        f"""SELECT c.tenant, c.location, c.object_type, CAST(sum(c.scheduled) AS BIGINT) AS scheduled,
            CAST(sum(c.succeeded) AS BIGINT) AS met, CAST(sum(c.ran - c.succeeded) AS BIGINT) AS failed,
            CAST(sum(c.missed) AS BIGINT) AS missed, CAST(sum(c.skipped) AS BIGINT) AS skipped,
            max(CASE WHEN c.missed > 0 THEN c.day END) AS last_missed
        FROM schedule_compliance AS c
        WHERE {shown.of("c")} AND c.day > CAST(:first AS DATE)
        GROUP BY c.tenant, c.location, c.object_type
        ORDER BY missed DESC, failed DESC, c.tenant, c.location, c.object_type""",
        **shown.values,
        first=(until.date() - timedelta(days=shown.days)).isoformat(),
    )


def _licenses(scope: TenantScope) -> list[Row]:
    """Return the newest snapshot of each tenant and location."""
    return scope.rows(
        """WITH ranked AS (
            SELECT l.tenant, l.location, l.day, l.out_of_policy_at, l.snapshot_at,
                row_number() OVER (PARTITION BY l.tenant, l.location ORDER BY l.day DESC) AS place
            FROM license_consumption AS l
        )
        SELECT t.tenant, t.location, t.day, t.assigned_user_seats, t.purchased_user_seats, t.seats_used_ratio,
            t.seats_run_out_on, t.protected_size_gb, t.purchased_storage_gb, t.storage_used_ratio,
            t.storage_run_out_on, t.month_peak_seats,
            CASE WHEN epoch(k.out_of_policy_at) <= epoch(k.snapshot_at) THEN k.out_of_policy_at END AS out_of_policy_at
        FROM ranked AS k
        JOIN license_trend AS t
            ON t.tenant = k.tenant AND t.day = k.day AND coalesce(t.location, '') = coalesce(k.location, '')
        WHERE k.place = 1 ORDER BY t.tenant, t.location"""
    )


def _retention(scope: TenantScope) -> list[Row]:
    return scope.rows(
        f"""SELECT r.tenant, r.location, r.level, r.service, r.container_name, r.retention_period, r.valid_from
        FROM current_retention_policies AS r
        ORDER BY r.tenant, r.location, r.level, r.service, r.container_name LIMIT {ROWS}"""
    )


def _changes(scope: TenantScope, since: datetime) -> list[Row]:
    return scope.rows(
        f"""SELECT s.tenant, s.location, s.setting, s.level, s.service, s.container_name, s.change, s.old_value,
            s.new_value, s.changed_before
        FROM settings_changes AS s WHERE s.changed_before > :since
        ORDER BY s.changed_before DESC, s.tenant, s.setting, s.service LIMIT {ROWS}""",
        since=since,
    )


def _restores(scope: TenantScope, shown: Filter) -> list[Row]:
    return scope.rows(
        f"""SELECT r.tenant, r.location, r.object_type, r.last_restore_at, r.last_restore_age_days,
            r.last_restore_hours, r.last_restore_objects, r.restores_tried, r.restores_failed
        FROM restore_evidence AS r WHERE {shown.of("r")}
        ORDER BY r.last_restore_at NULLS FIRST, r.tenant, r.location, r.object_type""",
        **shown.values,
    )


def schedule_section(page: Page) -> dict[str, Any] | None:
    """Return the scheduled backups of the period: met, failed, missed and skipped."""
    rows = page.metrics.context.schedule
    if not rows:
        return None
    columns = ["Service", "Location", "Scheduled", "Met", "Failed", "Missed", "Skipped", "Last missed"]
    names = ("scheduled", "met", "failed", "missed", "skipped")
    cells = [
        [*_place(row), *(row[name] for name in names), f"{row['last_missed']}" if row["last_missed"] else ""]
        for row in rows
    ]
    scheduled, met, missed = (sum(row[name] for row in rows) for name in ("scheduled", "met", "missed"))
    summary = f"{met:,} of {scheduled:,} met, {missed:,} missed"
    return {"table": HtmlTable(f"Scheduled backups of {page.period}", columns, cells), "summary": summary}


def license_section(page: Page) -> dict[str, Any] | None:
    """Return seats and storage, bought and in use, and when they run out."""
    rows = page.metrics.context.licenses
    if page.is_fleet or not rows:
        return None
    columns = ["Location", "What", "In use", "Bought", "Share", "Runs out", "State"]
    cells = [line for row in rows for line in _license_lines(row, page)]
    words = [word for row in rows if (word := license_word(row))]
    return {"table": HtmlTable("Licence", columns, cells), "summary": "; ".join(words), "day": rows[0]["day"]}


def _license_lines(row: Row, page: Page) -> Iterator[list[Any]]:
    state = "in policy"
    if row["out_of_policy_at"]:
        state = f"out of policy since {labels.moment(row['out_of_policy_at'], page.zone)}"
    for what, used, bought, ratio, out in (
        ("Seats", row["assigned_user_seats"], row["purchased_user_seats"], "seats_used_ratio", "seats_run_out_on"),
        ("Storage", row["protected_size_gb"], row["purchased_storage_gb"], "storage_used_ratio", "storage_run_out_on"),
    ):
        unit = "" if what == "Seats" else " GB"
        amounts = ("unknown" if value is None else f"{value:,.0f}{unit}" for value in (used, bought))
        share = "unknown" if row[ratio] is None else f"{row[ratio]:.0%}"
        yield [labels.location_label(row["location"]), what, *amounts, share, f"{row[out] or 'not foreseen'}", state]


def license_word(row: Row) -> str:
    """Return the state of a licence in short: out of policy, or the larger share in use."""
    if row["out_of_policy_at"]:
        return "out of policy"
    shares = {"seats": row["seats_used_ratio"] or 0, "storage": row["storage_used_ratio"] or 0}
    what = max(shares, key=lambda name: shares[name])
    return f"{shares[what]:.0%} of {what}" if shares[what] else ""


def license_share(rows: Iterable[Row]) -> float:
    """Return the largest share in use of a tenant's licences; 2 out of policy, so that it comes first in a list."""
    return max(
        (2 if row["out_of_policy_at"] else max(row["seats_used_ratio"] or 0, row["storage_used_ratio"] or 0))
        for row in rows
    )


def retention_section(page: Page) -> dict[str, Any] | None:
    """Return the retention in force, and the changes of settings in the period."""
    context = page.metrics.context
    if page.is_fleet or not (context.retention or context.changes):
        return None
    cells = [
        [
            row["level"].capitalize(),
            row["service"] or "All services",
            labels.location_label(row["location"]),
            row["container_name"] or "",
            singular_period(row["retention_period"] or ""),
        ]
        for row in context.retention
    ]
    changes = [[labels.moment(row["changed_before"], page.zone), *_change(row)] for row in context.changes]
    columns = ["Level", "Service", "Location", "Container", "Kept for"]
    change_columns = ["Read first", "Setting", "Service", "Change", "Before", "After"]
    return {
        "table": HtmlTable("Retention in force", columns, cells),
        "changes": HtmlTable(f"Changes of settings in {page.period}", change_columns, changes) if changes else None,
        "summary": format_count(len(changes), "change") if changes else "no change",
    }


def _change(row: Row) -> list[str]:
    service = " · ".join(part for part in (row["service"], row["container_name"]) if part)
    words = [row[name].replace("_", " ") for name in ("setting", "change")]
    return [
        words[0],
        service or "All services",
        words[1],
        *(singular_period(row[name] or "none") for name in ("old_value", "new_value")),
    ]


def restore_section(page: Page) -> dict[str, Any] | None:
    """Return when a restore of each service last proved to work."""
    rows = page.metrics.context.restores
    if page.is_fleet or not rows:
        return None
    columns = ["Service", "Location", "Last proved restore", "Objects", "Took", "Tried in a year", "Failed"]
    cells = [
        [
            *_place(row),
            labels.age(row["last_restore_at"], page.zone, page.drawn_at),
            row["last_restore_objects"] or 0,
            labels.span(row["last_restore_hours"]) if row["last_restore_at"] else "",
            row["restores_tried"],
            row["restores_failed"],
        ]
        for row in rows
    ]
    untested = sum(row["last_restore_at"] is None for row in rows)
    summary = f"{untested:,} without a proved restore" if untested else "each service has one"
    return {"table": HtmlTable("Restore evidence", columns, cells), "summary": summary}


def _place(row: Row) -> list[str]:
    return [labels.service(row["object_type"]), labels.location_label(row["location"])]
