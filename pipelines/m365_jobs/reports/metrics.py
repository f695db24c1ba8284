"""Hold what sections are drawn from: their rows, the time range and the filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
