"""The figures behind every chart. The warehouse adds them up; what comes back is small however many jobs there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from m365_jobs.warehouse.tenant_scope import Scope

Row = dict[str, Any]

NO_LOCATION = ""
"""Stands for jobs whose location nobody asked for."""

NIGHT = timedelta(hours=24)
HISTORY = timedelta(days=28)
"""What a service's last night is compared with: the four weeks before it."""

TOP_ERRORS, JOBS_OF_ERROR, FAILED_JOBS, OPEN_JOBS = 20, 100, 20, 50
"""Rows at most; the newest or largest come first."""

JOB = """f.tenant, f.id, f.location, f.object_type, f.job_type, f.state, f.start_time, f.finish_time, f.total_number,
    f.failed_number"""
OUTCOMES = {
    "succeeded": "('success')",
    "warnings": "('warning')",
    "failures": "('failure')",
    "others": "('running', 'other')",
}


@dataclass(frozen=True)
class Filter:
    """Which jobs are looked at. Tenants are the business of whoever opens the ``Scope``."""

    tenants: tuple[str, ...] = ()
    """None for all."""
    location: str | None = None
    """None for all, ``NO_LOCATION`` for jobs without one."""
    object_type: str | None = None
    days: int = 30
    """How far back trends and errors reach, in days before ``as_of``."""

    def of(self, alias: str) -> str:
        """A condition on the columns of a table or view; its parameters are in ``values``."""
        # One text whatever is chosen: to translate it takes longer than many an answer, and is done once for each text.
        return (
            f"(:everywhere = 1 OR coalesce({alias}.location, '') = :location) "
            f"AND (:all_types = 1 OR {alias}.object_type = :object_type)"
        )

    def holds(self, row: Row) -> bool:
        """Whether a row is of the tenants, the location and the service that are chosen, as far as it says."""
        wanted = {"object_type": self.object_type, "location": self.location}
        return (not self.tenants or row["tenant"] in self.tenants) and all(
            value is None or name not in row or (row[name] or NO_LOCATION) == value for name, value in wanted.items()
        )

    @property
    def values(self) -> dict[str, Any]:
        """What the placeholders of ``of`` stand for."""
        return {
            "everywhere": int(self.location is None),
            "location": self.location or NO_LOCATION,
            "all_types": int(self.object_type is None),
            "object_type": self.object_type or "",
        }


@dataclass(frozen=True)
class Choices:
    """What can be chosen from, each in alphabetical order."""

    tenants: list[str]
    locations: list[str]
    object_types: list[str]


def version(scope: Scope) -> Any:
    """Something that differs once another load has been recorded."""
    query = "SELECT count(*) AS runs, max(r.ended_at) AS ended FROM load_runs AS r"
    (row,) = scope.with_clocks_ahead().rows(query)
    return tuple(row.values())


def choices(scope: Scope) -> Choices:
    """Return the tenants, locations and services that were ever asked for or have jobs."""
    rows = scope.rows("SELECT p.tenant, p.location, p.object_type FROM partition_loads AS p")
    names = ("tenant", "location", "object_type")
    values = {name: {row[name] for row in rows} for name in names}
    locations = sorted(value or NO_LOCATION for value in values["location"])
    return Choices(sorted(values["tenant"]), locations, sorted(filter(None, values["object_type"])))


def as_of(scope: Scope) -> datetime | None:
    """The moment the newest load vouches for, in UTC; everything is counted back from it, not from now. None where
    nothing was read yet."""
    found: datetime | None = scope.rows("SELECT max(a.window_end) AS moment FROM load_audit AS a")[0]["moment"]
    return found


def protection(scope: Scope, chosen: Filter) -> list[Row]:
    """Rows of ``protection_status``."""
    return scope.rows(
        f"SELECT p.* FROM protection_status AS p WHERE {chosen.of('p')} ORDER BY p.tenant, p.location, p.object_type",
        **chosen.values,
    )


def last_night(scope: Scope, chosen: Filter, until: datetime) -> list[Row]:
    """Per object type, what ended in the 24 hours up to ``until``, counted as ``daily_summary`` counts."""
    between = "f.finish_time > :since AND f.finish_time <= :until"
    query = _counted("object_type", "f.object_type", f"{chosen.of('f')} AND {between}")
    return scope.rows(query, **chosen.values, since=until - NIGHT, until=until)


def _counted(name: str, key: str, condition: str) -> str:
    """Jobs by outcome, and objects, for each value of a key; as ``daily_summary`` adds them up, but by outcome first:
    to tell the outcome of a job takes longer than to count it."""
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


def failed_last_night(scope: Scope, chosen: Filter, until: datetime) -> list[Row]:
    """Jobs that failed in those 24 hours, the newest first, at most ``FAILED_JOBS``."""
    return scope.rows(
        f"""SELECT {JOB} FROM job_facts AS f
        WHERE {chosen.of("f")} AND f.finish_time > :since AND f.finish_time <= :until AND f.outcome = 'failure'
        ORDER BY f.finish_time DESC, f.id LIMIT {FAILED_JOBS}""",
        **chosen.values,
        since=until - NIGHT,
        until=until,
    )


def trend(scope: Scope, chosen: Filter, until: datetime) -> list[Row]:
    """Per UTC day: jobs by outcome, objects and failed objects, counted as ``daily_summary`` counts.

    Asked of the jobs themselves, by their finish: of the view's days a destination cannot know which jobs they need.
    """
    first = datetime.combine(until.astimezone(UTC).date() - timedelta(days=chosen.days - 1), time(), UTC)
    day = "CAST(f.finish_time AT TIME ZONE 'UTC' AS DATE)"
    query = _counted("day", day, f"{chosen.of('f')} AND f.finish_time >= :first AND f.finish_time < :after")
    return scope.rows(query, **chosen.values, first=first, after=first + timedelta(days=chosen.days))


def durations(scope: Scope, chosen: Filter, until: datetime) -> list[Row]:
    """Per object type, hours that backups took: ``median`` of the last 24 hours (``jobs`` of them), and of the four
    weeks before it ``usual`` (median), ``low`` and ``high`` (10 % were quicker, 10 % slower). Null without jobs."""
    return scope.rows(
        f"""WITH took AS (
            SELECT f.object_type, f.finish_time, (epoch(f.finish_time) - epoch(f.start_time)) / 3600 AS hours
            FROM job_facts AS f
            WHERE {chosen.of("f")} AND f.job_type = 'backup' AND f.finish_time > :since AND f.finish_time <= :until
        ),
        parted AS (
            SELECT t.object_type,
                CASE WHEN t.finish_time > :night THEN t.hours END AS recent,
                CASE WHEN t.finish_time <= :night THEN t.hours END AS earlier
            FROM took AS t
        )
        SELECT p.object_type, count(p.recent) AS jobs, quantile_cont(p.recent, 0.5) AS median,
            quantile_cont(p.earlier, 0.1) AS low, quantile_cont(p.earlier, 0.5) AS usual,
            quantile_cont(p.earlier, 0.9) AS high
        FROM parted AS p GROUP BY p.object_type ORDER BY p.object_type""",
        **chosen.values,
        since=until - NIGHT - HISTORY,
        night=until - NIGHT,
        until=until,
    )


SEEN = "coalesce({0}.finish_time, {0}.start_time)"
"""When an error of a job was seen, as in ``error_summary``."""


def errors(scope: Scope, chosen: Filter, until: datetime) -> list[Row]:
    """Per object type and message, what went wrong most in the days of ``chosen``, counted as in ``error_summary``."""
    seen = SEEN.format("j")
    return scope.rows(
        f"""SELECT j.object_type, e.value AS error_message, CAST(sum(coalesce(e.number, 1)) AS BIGINT) AS occurrences,
            count(DISTINCT concat(j.tenant, ' ', j.id)) AS jobs, max({seen}) AS last_seen, max(nullif(e.url, '')) AS url
        FROM jobs__job_errors AS e
        JOIN jobs AS j ON j.tenant = e.tenant AND j.id = e.job_id
        WHERE {chosen.of("j")} AND {seen} > :since AND {seen} <= :until
        GROUP BY j.object_type, e.value ORDER BY occurrences DESC, j.object_type, e.value LIMIT {TOP_ERRORS}""",
        **chosen.values,
        since=until - timedelta(days=chosen.days),
        until=until,
    )


def jobs_of_error(
    scope: Scope, chosen: Filter, until: datetime, object_type: str | None, message: str | None
) -> list[Row]:
    """The jobs behind a row of ``errors``, the newest first, at most ``JOBS_OF_ERROR``."""
    seen = SEEN.format("f")
    return scope.rows(
        f"""SELECT {JOB} FROM job_facts AS f
        WHERE {chosen.of("f")} AND (f.object_type = :of_type OR :of_type = '' AND f.object_type IS NULL)
        AND {seen} > :since AND {seen} <= :until AND EXISTS (
            SELECT 1 FROM jobs__job_errors AS e
            WHERE e.tenant = f.tenant AND e.job_id = f.id AND coalesce(e.value, '') = :message
        )
        ORDER BY {seen} DESC, f.id LIMIT {JOBS_OF_ERROR}""",
        **chosen.values,
        of_type=object_type or "",
        message=message or "",
        since=until - timedelta(days=chosen.days),
        until=until,
    )


def open_jobs(scope: Scope, chosen: Filter) -> list[Row]:
    """Jobs in progress, the longest first, at most ``OPEN_JOBS``; ``in_all`` says how many there are."""
    return scope.rows(
        f"""SELECT o.*, count(*) OVER () AS in_all FROM open_jobs AS o WHERE {chosen.of("o")}
        ORDER BY o.hours_open DESC, o.id LIMIT {OPEN_JOBS}""",
        **chosen.values,
    )


def loads(scope: Scope) -> list[Row]:
    """Per tenant, the last load: when it ended, how, why it failed."""
    return scope.rows(
        """WITH ranked AS (
            SELECT r.tenant, r.ended_at, r.status, r.error_kind, r.detail,
                row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
            FROM load_runs AS r
        )
        SELECT l.tenant, l.ended_at, l.status, l.error_kind, l.detail
        FROM ranked AS l WHERE l.place = 1 ORDER BY l.tenant"""
    )


def completeness(scope: Scope, chosen: Filter) -> list[Row]:
    """Return the rows of ``partition_loads``: until when each partition is proved complete, and its latest load."""
    return scope.rows(
        f"""SELECT l.tenant, l.location, l.object_type, l.complete, l.complete_until, l.last_load_at
        FROM partition_loads AS l WHERE {chosen.of("l")} ORDER BY l.tenant, l.location, l.object_type""",
        **chosen.values,
    )


@dataclass(frozen=True)
class Figures:
    """All of it, for a report."""

    chosen: Filter
    as_of: datetime
    protection: Sequence[Row]
    night: Sequence[Row]
    failed: Sequence[Row]
    trend: Sequence[Row]
    durations: Sequence[Row]
    errors: Sequence[Row]
    open_jobs: Sequence[Row]
    loads: Sequence[Row]
    completeness: Sequence[Row]


def read(scope: Scope, chosen: Filter) -> Figures | None:
    """All figures; None where nothing was read yet.

    Raises:
        DestinationUndefinedEntity: where the warehouse is not there yet.
    """
    until = as_of(scope)
    if until is None:
        return None
    return Figures(
        chosen,
        until,
        protection(scope, chosen),
        last_night(scope, chosen, until),
        failed_last_night(scope, chosen, until),
        trend(scope, chosen, until),
        durations(scope, chosen, until),
        errors(scope, chosen, until),
        open_jobs(scope, chosen),
        loads(scope),
        completeness(scope, chosen),
    )
