"""Show jobs and objects day by day."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from m365_jobs.reports import labels, svg
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.shared_queries import job_counts_query, sum_columns
from m365_jobs.text import format_percent
from m365_jobs.warehouse.tenant_scope import TenantScope


def read_trend(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per day of the time zone, jobs by outcome, objects and failed objects.

    The query filters jobs by their finish: a destination could not derive that from the days of a view.
    """
    filters = query_range.filters
    first_day = query_range.until.astimezone(filters.zone).date() - timedelta(days=filters.days - 1)
    begin = datetime.combine(first_day, time(), filters.zone)
    end = datetime.combine(first_day + timedelta(days=filters.days), time(), filters.zone)
    day = "CAST(f.finish_time AT TIME ZONE :zone AS DATE)"
    condition = f"{filters.condition('f')} AND f.finish_time >= :begin_time AND f.finish_time < :end_time"
    query = job_counts_query("day", day, condition)
    return scope.rows(query, **filters.values, begin_time=begin, end_time=end, zone=filters.zone_name)


def trends(page: Page) -> dict[str, Any]:
    """Return jobs and objects day by day."""
    rows, last = page.rows(read_trend), page.metrics.as_of.astimezone(page.zone).date()
    days = svg.last_days(last, page.filters.days)
    sums = sum_columns(rows)
    share = f", {format_percent(sums['succeeded_jobs'] / sums['jobs'])} succeeded" if sums["jobs"] else ""
    return {
        "rows": rows,
        "outcomes": svg.outcome_bars(rows, days),
        "legend": svg.legend(rows),
        "objects": svg.daily_bars(rows, days, "total_objects", "Objects", "busy"),
        "failed_objects": svg.daily_bars(rows, days, "failed_objects", "Failed objects", "bad"),
        "summary": f"{labels.jobs_label(sums['jobs'])} in {page.period}{share}",
    }


TRENDS = Section("trends", "Trends", trends, reads=(read_trend,))
