"""Read the numbers behind every section. The warehouse adds them up, so answers are small for any number of jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from m365_jobs.reports.context import ContextRows, read_context
from m365_jobs.reports.view import NO_LOCATION, Filter, Night
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]

HISTORY = timedelta(days=28)
"""The four weeks before last night, which durations are compared with."""

TOP_ERRORS, FAILED_JOBS, OPEN_JOBS = 20, 20, 50
"""Rows at most; the newest or largest come first."""

JOB = """f.tenant, f.id, f.location, f.object_type, f.job_type, f.state, f.outcome, f.start_time, f.finish_time,
    f.total_number, f.failed_number"""

OUTCOMES = {
    "succeeded_jobs": "('success')",
    "warning_jobs": "('warning')",
    "failed_jobs": "('failure')",
    "other_jobs": "('running', 'other')",
}

SEEN = "coalesce({0}.finish_time, {0}.start_time)"
"""The time at which an error of a job was seen, as in ``error_summary``."""


@dataclass(frozen=True)
class Choices:
    """Hold the values that filters offer, each in alphabetical order."""

    tenants: list[str]
    locations: list[str]
    object_types: list[str]


def version(scope: TenantScope) -> Any:
    """Return a value that changes with every recorded load."""
    query = "SELECT count(*) AS runs, max(r.ended_at) AS ended FROM load_runs AS r"
    (row,) = scope.with_clocks_ahead().rows(query)
    return tuple(row.values())


def choices(scope: TenantScope) -> Choices:
    """Return tenants, locations and services that loads have asked for or jobs have."""
    rows = scope.rows(
        """SELECT a.tenant, a.location, a.object_type FROM load_audit AS a GROUP BY a.tenant, a.location, a.object_type
        UNION
        SELECT j.tenant, j.location, j.object_type FROM jobs AS j GROUP BY j.tenant, j.location, j.object_type"""
    )
    tenants, locations = {row["tenant"] for row in rows}, {row["location"] or NO_LOCATION for row in rows}
    services = {row["object_type"] for row in rows if row["object_type"]}
    return Choices(sorted(tenants), sorted(locations), sorted(services))


def as_of(scope: TenantScope) -> datetime | None:
    """Return the end of the newest listing, in UTC; None before the first load. Periods end there."""
    moment: datetime | None = scope.rows("SELECT max(a.window_end) AS moment FROM load_audit AS a")[0]["moment"]
    return moment


def night_by_service(scope: TenantScope, shown: Filter, night: Night) -> list[Row]:
    """Return the jobs of a night by outcome, and their objects, for each service."""
    query = _counted("object_type", "f.object_type", f"{shown.of('f')} AND {night.condition}")
    return scope.rows(query, **shown.values, **night.values)


def _counted(name: str, key: str, condition: str) -> str:
    """Return the query that counts jobs by outcome, and objects, for each value of a key.

    It groups by outcome first: computing the outcome of a job is slower than counting it.
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


def failed_jobs(scope: TenantScope, shown: Filter, night: Night) -> list[Row]:
    """Return the jobs of a night that failed, the newest first, at most ``FAILED_JOBS``."""
    return scope.rows(
        f"""SELECT {JOB} FROM job_facts AS f
        WHERE {shown.of("f")} AND {night.condition} AND f.outcome = 'failure'
        ORDER BY f.finish_time DESC, f.id LIMIT {FAILED_JOBS}""",
        **shown.values,
        **night.values,
    )


def trend(scope: TenantScope, shown: Filter, until: datetime) -> list[Row]:
    """Return, per day of the time zone, jobs by outcome, objects and failed objects.

    The query reads the jobs by their finish: a destination cannot know which jobs the days of a view need.
    """
    first_day = until.astimezone(shown.zone).date() - timedelta(days=shown.days - 1)
    first = datetime.combine(first_day, time(), shown.zone)
    after = datetime.combine(first_day + timedelta(days=shown.days), time(), shown.zone)
    day = "CAST(f.finish_time AT TIME ZONE :zone AS DATE)"
    query = _counted("day", day, f"{shown.of('f')} AND f.finish_time >= :first AND f.finish_time < :after")
    return scope.rows(query, **shown.values, first=first, after=after, zone=shown.zone_name)


def read_durations(scope: TenantScope, shown: Filter, night: Night) -> list[Row]:
    """Return, per service, the hours that backups took.

    ``median`` is that of the night, ``jobs`` its backups. ``usual`` (median), ``low`` and ``high`` are those of the
    four weeks before: 10 % were quicker than ``low``, 10 % slower than ``high``. Null without jobs.
    """
    return scope.rows(
        f"""WITH took AS (
            SELECT f.object_type, CASE WHEN {night.condition} THEN 1 ELSE 0 END AS last_night,
                (epoch(f.finish_time) - epoch(f.start_time)) / 3600 AS hours
            FROM job_facts AS f
            WHERE {shown.of("f")} AND f.job_type = 'backup' AND f.finish_time > :history
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
        **shown.values,
        **night.values,
        history=night.since - HISTORY,
    )


def read_errors(scope: TenantScope, shown: Filter, until: datetime) -> list[Row]:
    """Return the errors of the period per service and message, counted as in ``error_summary``, at most 20."""
    seen = SEEN.format("j")
    return scope.rows(
        f"""SELECT j.object_type, e.value AS error_message, CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences,
            count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs, min({seen}) AS first_seen, max({seen}) AS last_seen,
            max(nullif(e.url, '')) AS url
        FROM jobs__job_errors AS e
        JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
        WHERE {shown.of("j")} AND {seen} > :since AND {seen} <= :until
        GROUP BY j.object_type, e.value ORDER BY occurrences DESC, j.object_type, e.value LIMIT {TOP_ERRORS}""",
        **shown.values,
        since=until - timedelta(days=shown.days),
        until=until,
    )


def read_open_jobs(scope: TenantScope, shown: Filter) -> list[Row]:
    """Return jobs in progress, the longest first, at most ``OPEN_JOBS``; ``in_all`` is their number."""
    return scope.rows(
        f"""SELECT o.*, count(*) OVER () AS in_all FROM open_jobs AS o WHERE {shown.of("o")}
        ORDER BY o.hours_open DESC, o.id LIMIT {OPEN_JOBS}""",
        **shown.values,
    )


def read_loads(scope: TenantScope) -> list[Row]:
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


def completeness(scope: TenantScope, shown: Filter) -> list[Row]:
    """Return the rows of ``partition_loads``; ``asked_from`` is where the listings of the tenant begin."""
    return scope.rows(
        f"""WITH begins AS (SELECT a.tenant, min(a.window_start) AS asked_from FROM load_audit AS a GROUP BY a.tenant)
        SELECT l.tenant, l.location, l.object_type, l.complete, l.complete_until, l.last_load_at, b.asked_from
        FROM partition_loads AS l JOIN begins AS b ON b.tenant = l.tenant
        WHERE {shown.of("l")} ORDER BY l.tenant, l.location, l.object_type""",
        **shown.values,
    )


def total(rows: Iterable[Row]) -> Counter[str]:
    """Return the sum of each column of whole numbers."""
    sums = Counter[str]()
    for row in rows:
        sums.update({name: value for name, value in row.items() if isinstance(value, int)})
    return sums


@dataclass(frozen=True)
class Metrics:
    """Hold the numbers of a page or report."""

    as_of: datetime
    night: Night
    night_by_service: Sequence[Row]
    night_before: Sequence[Row]
    failed: Sequence[Row]
    trend: Sequence[Row]
    durations: Sequence[Row]
    errors: Sequence[Row]
    open_jobs: Sequence[Row]
    loads: Sequence[Row]
    completeness: Sequence[Row]
    changes: Sequence[Row]
    days: Sequence[Row]
    due: Sequence[Row] = ()
    context: ContextRows = field(default_factory=ContextRows)


def read_metrics(scope: TenantScope, shown: Filter, *, by_day: bool = True) -> Metrics | None:
    """Return all numbers; None before the first load. ``by_day`` is for the calendar, which a fleet has not.

    Raises:
        DestinationUndefinedEntity: where the warehouse does not exist yet.
    """
    from m365_jobs.reports import calendar

    until = as_of(scope)
    if until is None:
        return None
    night = shown.night(until)
    return Metrics(
        until,
        night,
        night_by_service(scope, shown, night),
        night_by_service(scope, shown, night.before),
        failed_jobs(scope, shown, night),
        trend(scope, shown, until),
        read_durations(scope, shown, night),
        read_errors(scope, shown, until),
        read_open_jobs(scope, shown),
        read_loads(scope),
        completeness(scope, shown),
        calendar.changes(scope, shown, until),
        calendar.backup_days(scope, shown, until) if by_day else [],
        calendar.due_from(scope) if by_day else [],
        read_context(scope, shown, until, by_service=by_day),
    )
