"""Show the services day by day."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import calendar as backup_calendar
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.shared_queries import read_completeness
from m365_jobs.text import format_count


def calendar(page: Page) -> dict[str, Any] | None:
    """Return the services day by day."""
    rows = backup_calendar.calendar_rows(
        page.rows(backup_calendar.read_backup_days),
        page.protection,
        page.completeness,
        page.rows(backup_calendar.read_due_times),
        page.metrics.query_range,
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


CALENDAR = Section(
    "calendar",
    "Calendar",
    calendar,
    reads=(backup_calendar.read_backup_days, backup_calendar.read_due_times, read_completeness),
    on_fleet_page=False,
)
