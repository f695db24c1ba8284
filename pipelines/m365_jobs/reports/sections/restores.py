"""Show when a restore of each service last proved to work."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section, rows_if_exists
from m365_jobs.warehouse.tenant_scope import TenantScope

NOTE = "A restore is proof if it ended as success or warning with at least one object."


def read_restores(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the last proved restore of each partition."""
    return rows_if_exists(
        scope,
        f"""SELECT r.tenant, r.location, r.object_type, r.last_restore_at, r.last_restore_age_days,
            r.last_restore_hours, r.last_restore_objects, r.restores_tried, r.restores_failed
        FROM restore_evidence AS r WHERE {query_range.filters.condition("r")}
        ORDER BY r.last_restore_at NULLS FIRST, r.tenant, r.location, r.object_type""",
        **query_range.filters.values,
    )


def restore_section(page: Page) -> dict[str, Any] | None:
    """Return when a restore of each service last proved to work."""
    rows = page.rows(read_restores)
    if not rows:
        return None
    columns = ["Service", "Location", "Last proved restore", "Objects", "Took", "Tried in a year", "Failed"]
    cells = [
        [
            labels.service_label(row["object_type"]),
            labels.location_label(row["location"]),
            labels.time_and_age_label(row["last_restore_at"], page.zone, page.drawn_at),
            (row["last_restore_objects"] or 0) if row["last_restore_at"] else "",
            labels.duration_label(row["last_restore_hours"]) if row["last_restore_at"] else "",
            row["restores_tried"],
            row["restores_failed"],
        ]
        for row in rows
    ]
    untested = sum(row["last_restore_at"] is None for row in rows)
    summary = f"{untested:,} without a proved restore" if untested else "each service has one"
    return {"table": HtmlTable("Restore evidence", columns, cells), "summary": summary, "note": NOTE}


RESTORES = Section("restores", "Restore evidence", restore_section, reads=(read_restores,), on_fleet_page=False)
