"""Show the retention in force, and the changes of settings in the period."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section, rows_if_exists
from m365_jobs.text import format_count, singular_period
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_ROWS = 100
"""Rows of either table at most."""

CHANGE_COLUMNS = ("Read first", "Setting", "Service", "Change", "Before", "After")


def read_retention(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the retention policies in force, at most ``MAX_ROWS``."""
    return rows_if_exists(
        scope,
        f"""SELECT r.tenant, r.location, r.level, r.service, r.container_name, r.retention_period, r.valid_from
        FROM current_retention_policies AS r WHERE {query_range.filters.shared_condition("r")}
        ORDER BY r.tenant, r.location, r.level, r.service, r.container_name, r.container_id LIMIT {MAX_ROWS}""",
        **query_range.filters.values,
    )


def read_settings_changes(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the changes of settings in the period, the newest first, at most ``MAX_ROWS``."""
    return rows_if_exists(
        scope,
        f"""SELECT s.tenant, s.location, s.setting, s.level, s.service, s.container_name, s.change, s.old_value,
            s.new_value, s.changed_before
        FROM settings_changes AS s WHERE {query_range.filters.shared_condition("s")} AND s.changed_before > :since
        ORDER BY s.changed_before DESC, s.tenant, s.location, s.setting, s.level, s.service, s.container_name
        LIMIT {MAX_ROWS}""",
        **query_range.filters.values,
        since=query_range.until - timedelta(days=query_range.filters.days),
    )


def retention_section(page: Page) -> dict[str, Any] | None:
    """Return the retention in force, and the changes of settings in the period."""
    rows, changed = page.rows(read_retention), page.rows(read_settings_changes)
    if not (rows or changed):
        return None
    cells = [
        [
            row["level"].capitalize(),
            row["service"] or "All services",
            labels.location_label(row["location"]),
            row["container_name"] or "",
            singular_period(row["retention_period"] or ""),
        ]
        for row in rows
    ]
    changes = [change_cells(row, page.zone) for row in changed]
    columns = ["Level", "Service", "Location", "Container", "Kept for"]
    return {
        "table": HtmlTable("Retention in force", columns, cells),
        "changes": HtmlTable(f"Changes of settings in {page.period}", CHANGE_COLUMNS, changes) if changes else None,
        "summary": format_count(len(changes), "change") if changes else "no change",
    }


def change_cells(row: Row, zone: tzinfo) -> list[str]:
    """Return the cells of a change of a setting under ``CHANGE_COLUMNS``."""
    service = " · ".join(part for part in (row["service"], row["container_name"]) if part)
    setting, change = (row[name].replace("_", " ") for name in ("setting", "change"))
    return [
        labels.time_label(row["changed_before"], zone),
        setting,
        service or "All services",
        change,
        *(singular_period(row[name] or "none") for name in ("old_value", "new_value")),
    ]


RETENTION = Section(
    "retention", "Retention", retention_section, reads=(read_retention, read_settings_changes), on_fleet_page=False
)
