"""Define the SQL of the health checks, in DuckDB's dialect, with unqualified names of tables and views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LEAST_JOBS, LEAST_DAYS = 10, 7
"""Minimum of jobs, and of days with jobs, in the last four weeks; with fewer, no usual value is known."""

LEAST_HOURS, LEAST_OBJECTS = 1, 10
"""Minimum of a job's hours, and of a day's failed objects, for a warning."""

FACTOR = 2
"""Multiple of the usual value that gives a warning. The usual value is the 95th percentile of the last four weeks."""

LEAST_BACKUPS, LEAST_FAILED, FAILED_SHARE = 8, 4, 0.25
"""Minimum of a service's backups in 14 days, of failed ones, and of their share, for a warning."""

NEWEST = """
    newest AS (SELECT a.tenant, max(a.window_end) AS loaded_until FROM load_audit AS a GROUP BY a.tenant)"""
"""Ages are relative to the newest load of a tenant, so that an outage of the API or of loads changes none."""

OLDEST_LOAD = f"WITH {NEWEST} SELECT min(n.loaded_until) AS loaded_until FROM newest AS n"
"""The earliest of all tenants' newest loads."""

HISTORY_DAYS = 31
"""Days before that load whose jobs are checked. ``:since`` is their start: without it, a destination that joins before
it compares ages would join all jobs."""

UNSUCCESSFUL = "(f.outcome = 'failure' OR f.outcome = 'warning' AND coalesce(f.successful_number, 0) = 0)"
"""A backup without any successful object counts as failed, whatever its state."""

LOADS = """
WITH ranked AS (
    SELECT r.tenant, r.status, r.started_at, r.error_kind, r.detail,
        row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
    FROM load_runs AS r
)
SELECT k.tenant, k.started_at, k.error_kind, k.detail FROM ranked AS k WHERE k.place = 1 AND k.status = 'failed'
"""


def count_query(table: str) -> str:
    """Return the query for the number of rows of a table."""
    return f"SELECT count(*) AS stored FROM {table} AS t"


KNOWN_SERVICES = "SELECT j.tenant, count(*) AS jobs, count(j.object_type) AS known FROM jobs AS j GROUP BY 1"

LAST_LOADS = "SELECT r.tenant, max(r.started_at) AS started_at FROM load_runs AS r GROUP BY r.tenant"

INCOMPLETE = """
WITH newest AS (
    SELECT p.tenant, max(p.last_load_at) AS last_load_at FROM partition_loads AS p GROUP BY p.tenant
)
SELECT p.tenant, p.location, p.object_type, p.last_load_at
FROM partition_loads AS p
JOIN newest AS n ON n.tenant = p.tenant
WHERE p.complete = FALSE AND epoch(n.last_load_at) - epoch(p.last_load_at) <= 30 * 86400
ORDER BY p.tenant, p.location NULLS FIRST, p.object_type NULLS FIRST
"""
"""Partitions without a listing for 30 days are no longer loaded."""

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
    WHERE j.start_time IS NOT NULL AND j.finish_time >= :since
        AND epoch(n.loaded_until) - epoch(j.finish_time) BETWEEN 0 AND 28 * 86400
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
    WHERE f.finish_time >= :since AND epoch(n.loaded_until) - epoch(f.finish_time) BETWEEN 0 AND 29 * 86400 - 1
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
WHERE coalesce(f.finish_time, f.start_time) >= :since
    AND epoch(n.loaded_until) - epoch(coalesce(f.finish_time, f.start_time)) <= 7 * 86400 AND {{condition}}
GROUP BY f.tenant, f.location, f.object_type
"""

FAILED_RESTORES = ENDED_BADLY.format(condition="f.job_type = 'restore' AND f.outcome = 'failure'")

EMPTY_BACKUPS = ENDED_BADLY.format(
    condition="f.job_type = 'backup' AND f.finish_time IS NOT NULL AND f.outcome IN ('success', 'warning') "
    "AND f.total_number = 0"
)

FAILED_BACKUPS = f"""
WITH {NEWEST},
counted AS (
    SELECT f.tenant, f.location, f.object_type, count(*) AS jobs,
        sum(CASE WHEN {UNSUCCESSFUL} THEN 1 ELSE 0 END) AS failed,
        max(CASE WHEN f.outcome = 'failure' THEN f.finish_time END) AS last_at
    FROM job_facts AS f
    JOIN newest AS n ON n.tenant = f.tenant
    WHERE f.job_type = 'backup' AND f.finish_time >= :since
        AND epoch(n.loaded_until) - epoch(f.finish_time) BETWEEN 0 AND 14 * 86400
    GROUP BY f.tenant, f.location, f.object_type
)
SELECT c.tenant, c.location, c.object_type, c.jobs, c.failed, c.last_at
FROM counted AS c
WHERE c.jobs >= {LEAST_BACKUPS} AND c.failed >= {LEAST_FAILED} AND c.failed >= {FAILED_SHARE} * c.jobs
"""

CHECK_FAILURES = """
WITH ranked AS (
    SELECT r.tenant, r.run_id, row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place
    FROM load_runs AS r
    WHERE r.status <> 'failed'
)
SELECT c.tenant, c.rule, c.problem, c.jobs, c.example
FROM load_check_failures AS c
JOIN ranked AS k ON k.tenant = c.tenant AND k.run_id = c.run_id
WHERE k.place = 1
ORDER BY c.tenant, c.rule
"""
"""Each load writes the findings that still apply, so those of the newest load apply now."""

UNRECONCILED = """
WITH newest AS (
    SELECT c.tenant, c.location, max(c.checked_at) AS checked_at
    FROM reconciliations AS c
    WHERE c.kind <> 'verify'
    GROUP BY c.tenant, c.location
),
failed AS (
    SELECT c.tenant, c.location, c.period_start, c.period_end, c.api_total, c.warehouse_jobs,
        row_number() OVER (
            PARTITION BY c.tenant, c.location ORDER BY epoch(c.period_end) - epoch(c.period_start) DESC
        ) AS place
    FROM reconciliations AS c
    JOIN newest AS n
        ON n.tenant = c.tenant
        AND coalesce(n.location, '') = coalesce(c.location, '')
        AND epoch(n.checked_at) - epoch(c.checked_at) < 3600
    WHERE c.kind <> 'verify' AND c.proof = FALSE
)
SELECT f.tenant, f.location, f.period_start, f.period_end, f.api_total, f.warehouse_jobs
FROM failed AS f
WHERE f.place = 1
"""
"""The newest comparison has a row for each period, and for parts of failed periods; the longest row is returned."""

UNKNOWN_STATES = """
SELECT f.tenant, f.state, count(*) AS jobs, max(f.start_time) AS last_at
FROM job_facts AS f WHERE f.outcome = 'other' GROUP BY f.tenant, f.state
ORDER BY f.tenant, f.state
"""

MAX_MESSAGES = 3
"""The most error messages of a finding."""

SINCE_SUCCESS = """LEFT JOIN (
        SELECT b.tenant, b.location, b.object_type, max(b.finish_time) AS last_success_at
        FROM evaluated_backups AS b
        WHERE b.succeeded = 1 AND b.finish_time >= :since
        GROUP BY b.tenant, b.location, b.object_type
    ) AS p
        ON p.tenant = f.tenant AND p.object_type = f.object_type AND coalesce(p.location, '') = coalesce(f.location, '')
    WHERE f.job_type = 'backup' AND f.outcome IN ('failure', 'warning')
        AND (p.last_success_at IS NULL OR epoch(f.finish_time) > epoch(p.last_success_at))"""

CAUSES = f"""
WITH {NEWEST},
counted AS (
    SELECT f.tenant, f.location, f.object_type, e.value AS message, count(DISTINCT f.id) AS jobs
    FROM job_facts AS f
    JOIN newest AS n ON n.tenant = f.tenant
    JOIN jobs__job_errors AS e ON e.tenant = f.tenant AND e.job_id = f.id
    {{condition}}
        AND coalesce(f.finish_time, f.start_time) >= :since
        AND epoch(n.loaded_until) - epoch(coalesce(f.finish_time, f.start_time)) <= {{days}} * 86400
        AND nullif(e.value, '') IS NOT NULL
    GROUP BY f.tenant, f.location, f.object_type, e.value
),
ranked AS (
    SELECT c.*,
        row_number() OVER (
            PARTITION BY c.tenant, c.location, c.object_type ORDER BY c.jobs DESC, c.message COLLATE "C"
        ) AS place
    FROM counted AS c
)
SELECT k.tenant, k.location, k.object_type, k.message, k.jobs
FROM ranked AS k
WHERE k.place <= {MAX_MESSAGES}
ORDER BY k.tenant, k.location, k.object_type, k.place
"""


def causes_query(days: int, condition: str) -> str:
    """Return the query of the most frequent error messages of jobs.

    ``condition`` selects the jobs, of the last ``days`` before the newest load.
    """
    return CAUSES.format(days=days, condition=condition)


def without_covered(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows, except services whose listing of all services is also among the rows: they have one cause."""
    wholes = {(row["tenant"], row["location"]) for row in rows if row["object_type"] is None}
    for row in rows:
        covered = {(row["tenant"], row["location"]), (row["tenant"], None)} & wholes
        own = (row["tenant"], row["location"]) if row["object_type"] is None else None
        if not covered - {own}:
            yield row
