"""Show the scheduled backups of the period: met, failed, missed and skipped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section, rows_if_exists
from m365_jobs.warehouse.tenant_scope import TenantScope

UNREAD = timedelta(days=2)
"""Age of the last read of a schedule from which the section shows its time. Loads read schedules once a day."""

NOTE = (
    "Met: started in time and succeeded. Missed: none started for an interval and a half. Skipped: the one before was "
    "still running."
)


def read_schedule(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per partition, the scheduled backups of the period by result."""
    # The view reads 400 days of jobs, so it is queried only in a warehouse with schedules.
    counts = rows_if_exists(scope, "SELECT count(*) AS schedules FROM backup_schedules AS s")
    if not counts or not counts[0]["schedules"]:
        return []
    return rows_if_exists(
        scope,
        f"""SELECT c.tenant, c.location, c.object_type, CAST(sum(c.scheduled) AS BIGINT) AS scheduled,
            CAST(sum(c.succeeded) AS BIGINT) AS met, CAST(sum(c.ran - c.succeeded) AS BIGINT) AS failed,
            CAST(sum(c.missed) AS BIGINT) AS missed, CAST(sum(c.skipped) AS BIGINT) AS skipped,
            max(CASE WHEN c.missed > 0 THEN c.day END) AS last_missed
        FROM schedule_compliance AS c
        WHERE {query_range.filters.condition("c")} AND c.day > CAST(:first AS DATE)
        GROUP BY c.tenant, c.location, c.object_type
        ORDER BY missed DESC, failed DESC, c.tenant, c.location, c.object_type""",
        **query_range.filters.values,
        first=(query_range.until.date() - timedelta(days=query_range.filters.days)).isoformat(),
    )


def read_unread_schedules(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the locations whose schedules loads no longer read, with the time of the last read, oldest first."""
    rows = rows_if_exists(
        scope,
        f"""SELECT s.tenant, s.location, max(s.last_read_at) AS last_read_at
        FROM current_backup_schedules AS s
        WHERE {query_range.filters.condition("s")}
        GROUP BY s.tenant, s.location
        ORDER BY last_read_at, s.tenant, s.location""",
        **query_range.filters.values,
    )
    return [row for row in rows if query_range.until - row["last_read_at"] > UNREAD]


def schedule_section(page: Page) -> dict[str, Any] | None:
    """Return the scheduled backups of the period: met, failed, missed and skipped."""
    rows, unread = page.rows(read_schedule), page.rows(read_unread_schedules)
    note = " ".join([NOTE, *(_unread_text(row, page) for row in unread)])
    if not rows:
        return {"table": "", "summary": "unknown", "note": note} if unread else None
    columns = ["Service", "Location", "Scheduled", "Met", "Failed", "Missed", "Skipped", "Last missed"]
    names = ("scheduled", "met", "failed", "missed", "skipped")
    cells = [
        [
            labels.service_label(row["object_type"]),
            labels.location_label(row["location"]),
            *(row[name] for name in names),
            f"{row['last_missed']}" if row["last_missed"] else "",
        ]
        for row in rows
    ]
    scheduled, met, missed = (sum(row[name] for row in rows) for name in ("scheduled", "met", "missed"))
    summary = f"{met:,} of {scheduled:,} met, {missed:,} missed"
    return {"table": HtmlTable(f"Scheduled backups of {page.period}", columns, cells), "summary": summary, "note": note}


def _unread_text(row: Row, page: Page) -> str:
    """Return the sentence on a schedule that loads no longer read."""
    place = f" of {labels.location_label(row['location'])}" if row["location"] else ""
    read_at = labels.time_label(row["last_read_at"], page.zone)
    return f"The schedule{place} was last read at {read_at}; from 30 days after that, it counts as unknown."


SCHEDULE = Section(
    "schedule",
    "Scheduled backups",
    schedule_section,
    reads=(read_schedule, read_unread_schedules),
    on_fleet_page=False,
)
