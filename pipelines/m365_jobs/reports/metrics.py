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


@dataclass(frozen=True)
class QueryRange:
    """Hold the parameters of a section's query: the filters, and the end of the data (UTC)."""

    shown: Filter
    until: datetime

    @cached_property
    def night(self) -> Night:
        """Return the last night of the data."""
        return self.shown.night(self.until)


Query: TypeAlias = Callable[[TenantScope, QueryRange], list[Row]]
"""Function that reads the rows of a section."""


@dataclass(frozen=True)
class Metrics:
    """Hold the rows of a page or report by the query that read them."""

    asked: QueryRange
    rows: Mapping[Query, Sequence[Row]]

    @property
    def as_of(self) -> datetime:
        """Return the end of the data."""
        return self.asked.until

    @property
    def night(self) -> Night:
        """Return the last night of the data."""
        return self.asked.night


OUTCOMES = {
    "succeeded_jobs": "('success')",
    "warning_jobs": "('warning')",
    "failed_jobs": "('failure')",
    "other_jobs": "('running', 'other')",
}

SEEN = "coalesce({0}.finish_time, {0}.start_time)"
"""Time of a job's errors, as in ``error_summary``."""


@dataclass(frozen=True)
class Choices:
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


def choices(scope: TenantScope) -> Choices:
    """Return the tenants, locations and services of loads and jobs."""
    rows = scope.rows(
        """SELECT a.tenant, a.location, a.object_type FROM load_audit AS a GROUP BY a.tenant, a.location, a.object_type
        UNION
        SELECT j.tenant, j.location, j.object_type FROM jobs AS j GROUP BY j.tenant, j.location, j.object_type"""
    )
    tenants, locations = {row["tenant"] for row in rows}, {row["location"] or NO_LOCATION for row in rows}
    services = {row["object_type"] for row in rows if row["object_type"]}
    return Choices(sorted(tenants), sorted(locations), sorted(services))


def as_of(scope: TenantScope) -> datetime | None:
    """Return the end of the newest listing (UTC), which is the end of all periods; None before the first load."""
    moment: datetime | None = scope.rows("SELECT max(a.window_end) AS moment FROM load_audit AS a")[0]["moment"]
    return moment


def night_by_service(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the jobs of a night by outcome, and their objects, for each service."""
    query = counted_query("object_type", "f.object_type", f"{asked.shown.of('f')} AND {asked.night.condition}")
    return scope.rows(query, **asked.shown.values, **asked.night.values)


def night_before(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the same for the night before."""
    night = asked.night.before
    query = counted_query("object_type", "f.object_type", f"{asked.shown.of('f')} AND {night.condition}")
    return scope.rows(query, **asked.shown.values, **night.values)


def counted_query(name: str, key: str, condition: str) -> str:
    """Return the query for the number of jobs by outcome, and of objects, for each value of a key.

    It groups by outcome first, so that each outcome is computed once per job.
    """
    outcomes = ", ".join(
        f"CAST(coalesce(sum(CASE WHEN c.outcome IN {names} THEN c.jobs END), 0) AS BIGINT) AS {column}"
        for column, names in OUTCOMES.items()
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


def read_loads(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the last load of each tenant: its end, result and error."""
    return scope.rows(
        """WITH ranked AS (
            SELECT r.tenant, r.ended_at, r.status, r.error_kind, r.detail,
                row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
            FROM load_runs AS r
        )
        SELECT l.tenant, l.ended_at, l.status, l.error_kind, l.detail
        FROM ranked AS l WHERE l.place = 1 ORDER BY l.tenant"""
    )


def completeness(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the rows of ``partition_loads``; ``asked_from`` is the start of the tenant's first window."""
    return scope.rows(
        f"""WITH begins AS (SELECT a.tenant, min(a.window_start) AS asked_from FROM load_audit AS a GROUP BY a.tenant)
        SELECT l.tenant, l.location, l.object_type, l.complete, l.complete_until, l.last_load_at, b.asked_from
        FROM partition_loads AS l JOIN begins AS b ON b.tenant = l.tenant
        WHERE {asked.shown.of("l")} ORDER BY l.tenant, l.location, l.object_type""",
        **asked.shown.values,
    )


def total(rows: Iterable[Row]) -> Counter[str]:
    """Return the sum of each column of whole numbers."""
    sums = Counter[str]()
    for row in rows:
        sums.update({name: value for name, value in row.items() if isinstance(value, int)})
    return sums
