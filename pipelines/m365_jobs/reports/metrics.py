"""Read the numbers that several sections share; the SQL of a single section is in its module.

The warehouse aggregates them, so results are small for any number of jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias

from m365_jobs.reports.view import NO_LOCATION, Filter, Night
from m365_jobs.warehouse.tenant_scope import TenantScope

Row: TypeAlias = dict[str, Any]
"""Column to value; times are in UTC."""

PartitionKey: TypeAlias = tuple[str, str, str]
"""Tenant, location and object type; empty if a row has none."""


def partition_key(row: Row) -> PartitionKey:
    """Return the partition of a row."""
    return str(row["tenant"]), str(row["location"] or ""), str(row["object_type"] or "")


@dataclass(frozen=True)
class QueryRange:
    """Hold the parameters of a section's query."""

    filters: Filter
    until: datetime
    """End of the data, in UTC; it belongs to the range."""

    @cached_property
    def night(self) -> Night:
        """Return the last night that the data covers."""
        return self.filters.night(self.until)


Query: TypeAlias = Callable[[TenantScope, QueryRange], list[Row]]
"""Function that reads the rows of a section."""


@dataclass(frozen=True)
class Metrics:
    """Hold the rows of a page or report by the query that read them."""

    query_range: QueryRange
    rows: Mapping[Query, Sequence[Row]]

    @property
    def as_of(self) -> datetime:
        """Return the end of the data."""
        return self.query_range.until

    @property
    def night(self) -> Night:
        """Return the last night that the data covers."""
        return self.query_range.night


OUTCOME_COLUMNS = {
    "succeeded_jobs": "('success')",
    "warning_jobs": "('warning')",
    "failed_jobs": "('failure')",
    "other_jobs": "('running', 'other')",
}
"""Column to the SQL list of the outcomes that it counts."""

ERROR_TIME = "coalesce({0}.finish_time, {0}.start_time)"
"""SQL expression for the time of a job's errors, as in ``error_summary``; the placeholder is the alias of the jobs."""


@dataclass(frozen=True)
class FilterOptions:
    """Hold the options of the filters, in alphabetical order."""

    tenants: list[str]
    locations: list[str]
    object_types: list[str]


LoadVersion: TypeAlias = tuple[int, datetime | None]
"""Number of recorded loads, and the end of the last one (UTC)."""


def load_version(scope: TenantScope) -> LoadVersion:
    """Return a value that changes with every recorded load."""
    query = "SELECT count(*) AS runs, max(r.ended_at) AS ended FROM load_runs AS r"
    (row,) = scope.with_clocks_ahead().rows(query)
    return row["runs"], row["ended"]


def filter_options(scope: TenantScope) -> FilterOptions:
    """Return the tenants, locations and object types that occur in loads or jobs."""
    rows = scope.rows(
        """SELECT a.tenant, a.location, a.object_type FROM load_audit AS a GROUP BY a.tenant, a.location, a.object_type
        UNION
        SELECT j.tenant, j.location, j.object_type FROM jobs AS j GROUP BY j.tenant, j.location, j.object_type"""
    )
    tenants, locations = {row["tenant"] for row in rows}, {row["location"] or NO_LOCATION for row in rows}
    services = {row["object_type"] for row in rows if row["object_type"]}
    return FilterOptions(sorted(tenants), sorted(locations), sorted(services))


def as_of(scope: TenantScope) -> datetime | None:
    """Return the end of the newest listing (UTC), which is the end of all periods; None before the first load."""
    end: datetime | None = scope.rows("SELECT max(a.window_end) AS end_time FROM load_audit AS a")[0]["end_time"]
    return end


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
