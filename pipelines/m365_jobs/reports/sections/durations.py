"""Show how long backups took, against what is usual."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from m365_jobs.reports import html, labels, svg
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.warehouse.tenant_scope import TenantScope

HISTORY = timedelta(days=28)
"""Time before last night that durations are compared with."""


def read_durations(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per service, the hours that backups took.

    ``median`` is that of the night, ``jobs`` its backups. ``usual`` (median), ``low`` and ``high`` are those of the
    four weeks before: 10 % were quicker than ``low``, 10 % slower than ``high``. Null without jobs.
    """
    return scope.rows(
        f"""WITH took AS (
            SELECT f.object_type, CASE WHEN {query_range.night.condition} THEN 1 ELSE 0 END AS last_night,
                (epoch(f.finish_time) - epoch(f.start_time)) / 3600 AS hours
            FROM job_facts AS f
            WHERE {query_range.filters.condition("f")} AND f.job_type = 'backup' AND f.finish_time > :history
                AND (f.finish_time <= :until OR f.start_time < :until)
        ),
        parted AS (
            SELECT t.object_type, CASE WHEN t.last_night = 1 THEN t.hours END AS recent,
                CASE WHEN t.last_night = 0 THEN t.hours END AS earlier
            FROM took AS t
        )
        SELECT p.object_type, count(p.recent) AS jobs, quantile_cont(p.recent, 0.5) AS median,
            quantile_cont(p.earlier, 0.1) AS low, quantile_cont(p.earlier, 0.5) AS usual,
            quantile_cont(p.earlier, 0.9) AS high
        FROM parted AS p GROUP BY p.object_type ORDER BY p.object_type""",
        **query_range.filters.values,
        **query_range.night.values,
        history=query_range.night.since - HISTORY,
    )


def durations(page: Page) -> dict[str, Any]:
    """Return how long backups took, against what is usual."""
    rows = sorted(
        page.rows(read_durations), key=lambda row: (not svg.is_slow(row), labels.service_label(row["object_type"]))
    )
    slow = [labels.service_label(row["object_type"]) for row in rows if svg.is_slow(row)]
    scale = svg.DurationScale(rows)
    cells = []
    for row in rows:
        last = labels.duration_label(row["median"]) if row["jobs"] else "–"
        usual = labels.duration_label(row["usual"])
        low, high = labels.duration_label(row["low"]), labels.duration_label(row["high"])
        between = f"{low} to {high}" if row["usual"] is not None else "unknown"
        name = labels.service_label(row["object_type"])
        text = f"{name}: last night {last}, usually {usual}, 80 % took {between}"
        cells.append([name, last, usual, between, row["jobs"], scale.bar(row, text)])
    columns = ["Service", "Last night", "Usually", "80 % took", "Backups", scale.axis()]
    summary = f"slower: {html.sentence_list(slow)}" if slow else "no service was slower than usual"
    return {"table": HtmlTable("How long backups took", columns, cells, "wide"), "slow": slow, "summary": summary}


DURATIONS = Section("durations", "Durations", durations, reads=(read_durations,))
