"""What health looks for beside protection: in loads, in running jobs, and against the last four weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.warehouse import audit
from m365_jobs.warehouse.tenant_scope import Scope

LEAST_JOBS, LEAST_DAYS = 10, 7
"""Jobs, and days with jobs, below which the last four weeks say too little."""

LEAST_HOURS, LEAST_OBJECTS = 1, 10
"""A job that runs for less, or fewer failed objects in a day, is nothing to speak of."""

FACTOR = 2
"""How many times the usual is unusual. Usual is what 95 in 100 of the last four weeks' jobs, or days, stayed below."""

NEWEST = """
    newest AS (SELECT a.tenant, max(a.window_end) AS loaded_until FROM load_audit AS a GROUP BY a.tenant)"""
"""The moment at which a tenant is judged: an outage of the API or the loads makes nothing old."""

LOADS = """
WITH ranked AS (
    SELECT r.tenant, r.status, r.started_at, r.error_kind, r.detail,
        row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
    FROM load_runs AS r
)
SELECT k.tenant, k.started_at, k.error_kind, k.detail FROM ranked AS k WHERE k.place = 1 AND k.status = 'failed'
"""

LAST_LOADS = "SELECT r.tenant, max(r.started_at) AS started_at FROM load_runs AS r GROUP BY r.tenant"

INCOMPLETE = f"""
WITH {NEWEST},
runs AS ({audit.OF_PARTITIONS}),
ranked AS (
    SELECT
        r.*,
        row_number() OVER (PARTITION BY r.tenant, r.location, r.object_type ORDER BY r.started_at DESC) AS place,
        row_number() OVER (
            PARTITION BY r.tenant, r.location, r.object_type ORDER BY r.window_end DESC, r.started_at DESC
        ) AS reach
    FROM runs AS r
)
SELECT k.tenant, k.location, k.object_type, max(k.started_at) AS started_at
FROM ranked AS k
JOIN newest AS n ON n.tenant = k.tenant
WHERE (k.place = 1 OR k.reach = 1) AND k.complete = 0
    AND epoch(n.loaded_until) - epoch(k.window_end) <= 30 * 86400
GROUP BY k.tenant, k.location, k.object_type
"""
"""By the last load, and by the one that reached furthest: a backfill of an older range says nothing of that one."""

SLOW = f"""
WITH {NEWEST},
ranked AS (
    SELECT j.tenant, j.location, j.object_type, j.job_type,
        (epoch(j.finish_time) - epoch(j.start_time)) / 3600 AS hours,
        row_number() OVER (
            PARTITION BY j.tenant, j.location, j.object_type, j.job_type
            ORDER BY epoch(j.finish_time) - epoch(j.start_time) DESC
        ) AS place,
        count(*) OVER (PARTITION BY j.tenant, j.location, j.object_type, j.job_type) AS jobs
    FROM jobs AS j
    JOIN newest AS n ON n.tenant = j.tenant
    WHERE j.start_time IS NOT NULL AND epoch(n.loaded_until) - epoch(j.finish_time) BETWEEN 0 AND 28 * 86400
),
usual AS (
    SELECT k.tenant, k.location, k.object_type, k.job_type, max(k.jobs) AS jobs,
        max(CASE WHEN k.place > 0.05 * k.jobs THEN k.hours END) AS hours
    FROM ranked AS k
    GROUP BY k.tenant, k.location, k.object_type, k.job_type
)
SELECT o.tenant, o.location, o.object_type, o.job_type, o.id, o.hours_open, u.hours
FROM open_jobs AS o
JOIN usual AS u
    ON u.tenant = o.tenant
    AND u.object_type = o.object_type
    AND coalesce(u.location, '') = coalesce(o.location, '')
    AND coalesce(u.job_type, '') = coalesce(o.job_type, '')
WHERE u.jobs >= {LEAST_JOBS} AND o.hours_open >= {LEAST_HOURS} AND o.hours_open > {FACTOR} * u.hours
ORDER BY o.hours_open DESC
"""

FAILED_OBJECTS = f"""
WITH {NEWEST},
aged AS (
    SELECT f.tenant, f.location, f.object_type, f.failed_number,
        floor((epoch(n.loaded_until) - epoch(f.finish_time)) / 86400) AS day
    FROM job_facts AS f
    JOIN newest AS n ON n.tenant = f.tenant
    WHERE epoch(n.loaded_until) - epoch(f.finish_time) BETWEEN 0 AND 29 * 86400 - 1
),
days AS (
    SELECT a.tenant, a.location, a.object_type, a.day,
        CAST(coalesce(sum(a.failed_number), 0) AS BIGINT) AS failed
    FROM aged AS a
    GROUP BY a.tenant, a.location, a.object_type, a.day
),
ranked AS (
    SELECT d.*,
        row_number() OVER (
            PARTITION BY d.tenant, d.location, d.object_type, CASE WHEN d.day = 0 THEN 0 ELSE 1 END
            ORDER BY d.failed DESC
        ) AS place
    FROM days AS d
),
compared AS (
    SELECT k.tenant, k.location, k.object_type, sum(CASE WHEN k.day > 0 THEN 1 ELSE 0 END) AS days,
        max(CASE WHEN k.day = 0 THEN k.failed END) AS failed,
        -- Of 28 days, those without any job included, one may be worse.
        coalesce(max(CASE WHEN k.day > 0 AND k.place > 0.05 * 28 THEN k.failed END), 0) AS usual
    FROM ranked AS k
    GROUP BY k.tenant, k.location, k.object_type
)
SELECT c.tenant, c.location, c.object_type, c.failed, c.usual
FROM compared AS c
WHERE c.days >= {LEAST_DAYS} AND c.failed >= {LEAST_OBJECTS} AND c.failed > {FACTOR} * CAST(c.usual AS DOUBLE)
"""

ENDED_BADLY = f"""
WITH {NEWEST}
SELECT f.tenant, f.location, f.object_type, count(*) AS jobs, max(coalesce(f.finish_time, f.start_time)) AS last_at
FROM job_facts AS f
JOIN newest AS n ON n.tenant = f.tenant
WHERE epoch(n.loaded_until) - epoch(coalesce(f.finish_time, f.start_time)) <= 7 * 86400 AND {{condition}}
GROUP BY f.tenant, f.location, f.object_type
"""

FAILED_RESTORES = ENDED_BADLY.format(condition="f.job_type = 'restore' AND f.outcome = 'failure'")

EMPTY_BACKUPS = ENDED_BADLY.format(
    condition="f.job_type = 'backup' AND f.finish_time IS NOT NULL AND f.outcome IN ('success', 'warning') "
    "AND f.total_number = 0"
)

UNKNOWN_STATES = """
SELECT f.tenant, f.state, count(*) AS jobs, max(f.start_time) AS last_at
FROM job_facts AS f WHERE f.outcome = 'other' GROUP BY f.tenant, f.state ORDER BY f.state
"""

Row = dict[str, Any]


def found(scope: Scope) -> Iterator[tuple[str, Row]]:
    """The kind of each reason, and what else it holds: tenant, text, and where it has them location, object type and
    what it is about. Nothing where nothing was loaded yet."""
    for kind, query, words in CHECKS:
        try:
            rows = scope.rows(query)
        except DestinationUndefinedEntity:
            continue
        for row in rows:
            place = {key: row[key] for key in ("tenant", "location", "object_type") if key in row}
            yield kind, place | words(row)


def last_loads(scope: Scope) -> dict[str, datetime]:
    """When the newest load that the warehouse knows of began, per tenant; nothing where nothing was loaded yet."""
    try:
        return {row["tenant"]: row["started_at"] for row in scope.rows(LAST_LOADS)}
    except DestinationUndefinedEntity:
        return {}


def nameless(scope: Scope) -> set[str]:
    """The tenants of whose jobs some are of no service that is known."""
    try:
        rows = scope.rows("SELECT DISTINCT j.tenant FROM jobs AS j WHERE j.object_type IS NULL")
    except DestinationUndefinedEntity:
        return set()
    return {row["tenant"] for row in rows}


def unknown_states(scope: Scope) -> Iterator[str]:
    """A text for each state that nobody knows."""
    for row in scope.rows(UNKNOWN_STATES):
        yield str(_state(row)["text"])


def failed_load(row: Row) -> Row:
    """What is said of a load that failed."""
    return {"text": f"the last load ({_minute(row['started_at'])}) failed ({row['error_kind']}): {row['detail']}"}


def _incomplete(row: Row) -> Row:
    return {"text": f"the last load ({_minute(row['started_at'])}) could not prove it complete; the next tries again"}


def _slow(row: Row) -> Row:
    kind = row["job_type"] or "job"
    text = (
        f"{kind} {row['id']} has been running for {row['hours_open']:.1f} h; 95 in 100 of the last "
        f"four weeks took at most {row['hours']:.1f} h"
    )
    return {"text": text, "about": row["id"]}


def _jump(row: Row) -> Row:
    return {
        "text": f"{row['failed']:,} objects failed in the last 24 hours of data; on 95 in 100 days of the four weeks "
        f"before at most {row['usual']:,}"
    }


def _restores(row: Row) -> Row:
    return {"text": f"{count(row['jobs'], 'restore')} failed in the last 7 days, the last {_minute(row['last_at'])}"}


def _empty(row: Row) -> Row:
    jobs = count(row["jobs"], "backup")
    return {"text": f"{jobs} ended with 0 objects in the last 7 days, the last {_minute(row['last_at'])}"}


def _state(row: Row) -> Row:
    jobs = count(row["jobs"], "job")
    text = (
        f"state {row['state']!r} ({jobs}, the last started {_minute(row['last_at'])}) is not known and counts as other"
    )
    return {"text": text, "about": str(row["state"])}


def _minute(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC" if value else "at an unknown time"


def count(number: int, what: str) -> str:
    """A number with its noun: 1 job, 2,000 jobs."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


CHECKS: tuple[tuple[str, str, Callable[[Row], Row]], ...] = (
    ("failed_load", LOADS, failed_load),
    ("incomplete", INCOMPLETE, _incomplete),
    ("slow_job", SLOW, _slow),
    ("failed_objects", FAILED_OBJECTS, _jump),
    ("failed_restores", FAILED_RESTORES, _restores),
    ("empty_backups", EMPTY_BACKUPS, _empty),
    ("unknown_state", UNKNOWN_STATES, _state),
)
