"""Read the rows that several sections show; the SQL of a single section is in its module.

The warehouse aggregates them, so results are small for any number of jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.view import Filter, Night
from m365_jobs.warehouse.tenant_scope import TenantScope

OUTCOME_COLUMNS = {
    "succeeded_jobs": "('success')",
    "warning_jobs": "('warning')",
    "failed_jobs": "('failure')",
    "other_jobs": "('running', 'other')",
}
"""Column to the SQL list of the outcomes that it counts."""

ERROR_TIME = "coalesce({0}.finish_time, {0}.start_time)"
"""SQL expression for the time of a job's errors, as in ``error_summary``; the placeholder is the alias of the jobs."""


def read_night(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per object type, the jobs of the last night by outcome, and their objects."""
    return _read_night(scope, query_range.filters, query_range.night)


def read_night_before(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the rows of ``read_night`` for the night before the last."""
    return _read_night(scope, query_range.filters, query_range.night.previous)


def _read_night(scope: TenantScope, filters: Filter, night: Night) -> list[Row]:
    condition = f"{filters.condition('f')} AND {night.condition}"
    query = job_counts_query("object_type", "f.object_type", condition)
    return scope.rows(query, **filters.values, **night.values)


def job_counts_query(name: str, key: str, condition: str) -> str:
    """Return the query for the number of jobs by outcome, and of objects, for each value of an SQL expression.

    ``name`` is the column of the expression ``key``. Grouping by outcome first computes each outcome once per job.
    """
    outcomes = ", ".join(
        f"CAST(coalesce(sum(CASE WHEN c.outcome IN {names} THEN c.jobs END), 0) AS BIGINT) AS {column}"
        for column, names in OUTCOME_COLUMNS.items()
    )
    return f"""WITH counted AS (
            SELECT {key} AS {name}, f.outcome, count(*) AS jobs, sum(f.total_number) AS total_objects,
                sum(f.failed_number) AS failed_objects
            FROM job_facts AS f WHERE {condition} GROUP BY {key}, f.outcome
        )
        SELECT c.{name}, CAST(sum(c.jobs) AS BIGINT) AS jobs, {outcomes},
            CAST(coalesce(sum(c.total_objects), 0) AS BIGINT) AS total_objects,
            CAST(coalesce(sum(c.failed_objects), 0) AS BIGINT) AS failed_objects
        FROM counted AS c GROUP BY c.{name} ORDER BY c.{name}"""


def read_loads(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the last load of each tenant: its end (UTC), result and error."""
    return scope.rows(
        """WITH ranked AS (
            SELECT r.tenant, r.ended_at, r.status, r.error_kind, r.detail,
                row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
            FROM load_runs AS r
        )
        SELECT l.tenant, l.ended_at, l.status, l.error_kind, l.detail
        FROM ranked AS l WHERE l.place = 1 ORDER BY l.tenant"""
    )


def read_completeness(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the rows of ``partition_loads``; ``asked_from`` is the start of the tenant's first window."""
    return scope.rows(
        f"""WITH begins AS (SELECT a.tenant, min(a.window_start) AS asked_from FROM load_audit AS a GROUP BY a.tenant)
        SELECT l.tenant, l.location, l.object_type, l.complete, l.complete_until, l.last_load_at, b.asked_from
        FROM partition_loads AS l JOIN begins AS b ON b.tenant = l.tenant
        WHERE {query_range.filters.condition("l")} ORDER BY l.tenant, l.location, l.object_type""",
        **query_range.filters.values,
    )


def sum_columns(rows: Iterable[Row]) -> Counter[str]:
    """Return the sum of each column of integers."""
    sums = Counter[str]()
    for row in rows:
        sums.update({name: value for name, value in row.items() if isinstance(value, int)})
    return sums
