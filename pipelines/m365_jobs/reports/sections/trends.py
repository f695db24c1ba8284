"""Show jobs and objects day by day."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from m365_jobs.reports import labels, svg
from m365_jobs.reports.metrics import QueryRange, Row, counted_query, total
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.warehouse.tenant_scope import TenantScope


def read_trend(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return, per day of the time zone, jobs by outcome, objects and failed objects.

    The query reads the jobs by their finish: a destination cannot know which jobs the days of a view need.
    """
    first_day = asked.until.astimezone(asked.shown.zone).date() - timedelta(days=asked.shown.days - 1)
    first = datetime.combine(first_day, time(), asked.shown.zone)
    after = datetime.combine(first_day + timedelta(days=asked.shown.days), time(), asked.shown.zone)
    day = "CAST(f.finish_time AT TIME ZONE :zone AS DATE)"
    query = counted_query("day", day, f"{asked.shown.of('f')} AND f.finish_time >= :first AND f.finish_time < :after")
    return scope.rows(query, **asked.shown.values, first=first, after=after, zone=asked.shown.zone_name)


def trends(page: Page) -> dict[str, Any]:
    """Return jobs and objects day by day."""
    rows, last = page.rows(read_trend), page.metrics.as_of.astimezone(page.zone).date()
    days = svg.last_days(last, page.shown.days)
    sums = total(rows)
    share = f", {sums['succeeded_jobs'] / sums['jobs']:.0%} succeeded" if sums["jobs"] else ""
    return {
        "rows": rows,
        "outcomes": svg.outcome_bars(rows, days),
        "legend": svg.legend(rows),
        "objects": svg.daily_bars(rows, days, "total_objects", "Objects", "busy"),
        "failed_objects": svg.daily_bars(rows, days, "failed_objects", "Failed objects", "bad"),
        "summary": f"{labels.jobs_label(sums['jobs'])} in {page.period}{share}",
    }


TRENDS = Section("trends", "Trends", trends, reads=(read_trend,))
