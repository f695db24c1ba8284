"""Read the evidence of a period for an audit: schedule, backups, restores, retention, and completeness of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.errors.settings_messages import empty_range
from m365_jobs.reports.metrics import Row
from m365_jobs.text import format_time
from m365_jobs.warehouse.tenant_scope import TenantScope

IN_PERIOD = "epoch(CAST(:since AS TIMESTAMPTZ)) <= epoch({time}) AND epoch({time}) < epoch(CAST(:until AS TIMESTAMPTZ))"
"""SQL condition that a time lies in the period; the placeholder is the time's column."""

BACKUPS = f"""
SELECT f.tenant, f.location, f.object_type, count(*) AS backups,
    count(CASE WHEN f.outcome = 'success' THEN 1 END) AS succeeded,
    count(CASE WHEN f.outcome = 'warning' THEN 1 END) AS warnings,
    count(CASE WHEN f.outcome = 'failure' THEN 1 END) AS failed
FROM job_facts AS f
WHERE f.job_type = 'backup' AND {IN_PERIOD.format(time="f.finish_time")}
GROUP BY f.tenant, f.location, f.object_type
ORDER BY f.tenant, f.location, f.object_type
"""

SCHEDULE = """
SELECT c.tenant, c.location, c.object_type,
    CAST(sum(c.scheduled) AS BIGINT) AS scheduled, CAST(sum(c.ran) AS BIGINT) AS ran,
    CAST(sum(c.succeeded) AS BIGINT) AS met, CAST(sum(c.missed) AS BIGINT) AS missed,
    CAST(sum(c.skipped) AS BIGINT) AS skipped, min(c.day) AS first_day, max(c.day) AS last_day
FROM schedule_compliance AS c
WHERE c.day >= CAST(:first_day AS DATE) AND c.day < CAST(:end_day AS DATE)
GROUP BY c.tenant, c.location, c.object_type
ORDER BY c.tenant, c.location, c.object_type
"""

FAILURES = f"""
WITH failed AS (
    SELECT f.tenant, f.location, f.object_type, f.id, f.finish_time, f.outcome,
        coalesce(nullif(e.value, ''), 'no reason given') AS reason
    FROM job_facts AS f
    LEFT JOIN jobs__job_errors AS e ON e.tenant = f.tenant AND e.job_id = f.id
    WHERE f.job_type = 'backup' AND f.outcome IN ('failure', 'warning') AND {IN_PERIOD.format(time="f.finish_time")}
)
SELECT d.tenant, d.location, d.object_type, d.outcome, d.reason, count(DISTINCT d.id) AS backups,
    max(d.finish_time) AS last_at
FROM failed AS d
GROUP BY d.tenant, d.location, d.object_type, d.outcome, d.reason
ORDER BY d.tenant, d.location, d.object_type, d.outcome, backups DESC, d.reason COLLATE "C"
"""

RESTORES = f"""
WITH services AS (
    SELECT DISTINCT f.tenant, f.location, f.object_type
    FROM job_facts AS f
    WHERE f.object_type IS NOT NULL AND f.job_type IN ('backup', 'restore')
),
restores AS (
    SELECT f.tenant, f.location, f.object_type, f.id, f.start_time, f.finish_time, f.successful_number, f.outcome,
        CASE WHEN {IN_PERIOD.format(time="f.finish_time")} THEN 1 ELSE 0 END AS in_period,
        CASE WHEN f.outcome IN ('success', 'warning') AND f.successful_number >= 1 THEN 1 ELSE 0 END AS proves
    FROM job_facts AS f
    WHERE f.job_type = 'restore' AND epoch(f.finish_time) < epoch(CAST(:until AS TIMESTAMPTZ))
),
ranked AS (
    SELECT r.tenant, r.location, r.object_type, r.id, r.start_time, r.finish_time, r.successful_number,
        row_number() OVER (
            PARTITION BY r.tenant, r.location, r.object_type ORDER BY r.finish_time DESC, r.id COLLATE "C" DESC
        ) AS place
    FROM restores AS r
    WHERE r.proves = 1
),
counted AS (
    SELECT r.tenant, r.location, r.object_type, sum(r.in_period) AS tried,
        sum(CASE WHEN r.outcome = 'failure' THEN r.in_period ELSE 0 END) AS failed
    FROM restores AS r
    GROUP BY r.tenant, r.location, r.object_type
)
SELECT s.tenant, s.location, s.object_type, k.finish_time AS last_restore_at, k.id AS last_restore_id,
    (epoch(k.finish_time) - epoch(k.start_time)) / 3600 AS last_restore_hours,
    k.successful_number AS last_restore_objects,
    CAST(coalesce(c.tried, 0) AS BIGINT) AS restores_tried, CAST(coalesce(c.failed, 0) AS BIGINT) AS restores_failed
FROM services AS s
LEFT JOIN ranked AS k
    ON k.tenant = s.tenant AND k.object_type = s.object_type AND coalesce(k.location, '') = coalesce(s.location, '')
    AND k.place = 1
LEFT JOIN counted AS c
    ON c.tenant = s.tenant AND c.object_type = s.object_type AND coalesce(c.location, '') = coalesce(s.location, '')
ORDER BY s.tenant, s.location, s.object_type
"""
"""The last restore with at least one object before the period ends, and the restores within the period."""

RETENTION = """
SELECT r.tenant, r.location, r.level, r.service, r.object_type, r.container_name, r.retention_period, r.retention_days,
    r.valid_from, r.valid_to
FROM retention_policies AS r
WHERE epoch(r.valid_from) < epoch(CAST(:until AS TIMESTAMPTZ))
    AND (r.valid_to IS NULL OR epoch(r.valid_to) >= epoch(CAST(:until AS TIMESTAMPTZ)))
ORDER BY r.tenant, r.location, r.level, r.service, r.container_name
"""

CHANGES = f"""
SELECT s.tenant, s.location, s.setting, s.level, s.service, s.object_type, s.container_name, s.change,
    s.old_value, s.new_value, s.changed_after, s.changed_before
FROM settings_changes AS s
WHERE {IN_PERIOD.format(time="s.changed_before")}
ORDER BY s.changed_before, s.tenant, s.location, s.setting, s.level, s.service, s.container_name
"""

COMPLETENESS = """
SELECT p.tenant, p.location, p.object_type, p.complete_until, p.last_complete_load_at, p.complete,
    CASE WHEN epoch(p.complete_until) >= epoch(CAST(:until AS TIMESTAMPTZ)) THEN TRUE ELSE FALSE END AS covers_period
FROM partition_loads AS p
ORDER BY p.tenant, p.location, p.object_type
"""

LOADS = f"""
SELECT r.tenant, r.status, count(*) AS loads, max(r.started_at) AS last_at
FROM load_runs AS r
WHERE {IN_PERIOD.format(time="r.started_at")}
GROUP BY r.tenant, r.status
ORDER BY r.tenant, r.status
"""

RECONCILIATIONS = f"""
SELECT c.tenant, c.location, c.kind, count(*) AS comparisons,
    count(CASE WHEN c.proof = TRUE THEN 1 END) AS agreed, count(CASE WHEN c.proof = FALSE THEN 1 END) AS differed,
    max(c.checked_at) AS last_at
FROM reconciliations AS c
WHERE {IN_PERIOD.format(time="c.checked_at")}
GROUP BY c.tenant, c.location, c.kind
ORDER BY c.tenant, c.location, c.kind
"""

JOBS = f"""
SELECT f.tenant, f.id, f.location, f.object_type, f.job_type, f.state, f.start_time, f.finish_time, f.total_number,
    f.failed_number, f.successful_number, f.skipped_number
FROM job_facts AS f
WHERE {IN_PERIOD.format(time="f.finish_time")}
ORDER BY f.tenant, f.id
"""
"""The jobs of the period, for the digest."""

SECTIONS = {
    "schedule": SCHEDULE,
    "backups": BACKUPS,
    "failures": FAILURES,
    "restores": RESTORES,
    "retention": RETENTION,
    "changes": CHANGES,
    "completeness": COMPLETENESS,
    "loads": LOADS,
    "reconciliations": RECONCILIATIONS,
}
"""Section to its query. The digest covers their rows and the jobs."""


@dataclass(frozen=True)
class Period:
    """Describe the period of an audit, in UTC, without its end."""

    since: datetime
    until: datetime

    @property
    def values(self) -> dict[str, str]:
        """Return the parameters of the queries."""
        return {
            "since": self.since.isoformat(sep=" "),
            "until": self.until.isoformat(sep=" "),
            "first_day": self.since.date().isoformat(),
            # A day belongs to the period if a part of it does.
            "end_day": ((self.until - timedelta(microseconds=1)).date() + timedelta(days=1)).isoformat(),
        }


@dataclass(frozen=True)
class Audit:
    """Hold the evidence of an audit: the rows of its sections, and the digest of all rows."""

    period: Period
    tenants: Sequence[str]
    created_at: datetime
    """UTC."""
    sections: dict[str, list[Row]]
    jobs: int
    """Number of jobs that ended in the period."""
    rows: int
    """Number of rows that the digest covers."""
    digest: str
    """SHA-256 of all rows of the sections and of the jobs."""
    jobs_digest: str
    """SHA-256 of the jobs alone. A later audit of the period has the same, unless one of its jobs changed."""


def audit_period(days: int, now: datetime | None = None) -> Period:
    """Return the last ``days`` whole UTC days before ``now``, which is the current time if unset."""
    end = (now or datetime.now(UTC)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(end - timedelta(days=days), end)


def select_period(days: int, month: date | None, since: datetime | None, until: datetime | None) -> Period:
    """Return the period from ``since`` to ``until``, of a calendar month, or else of the last whole UTC days.

    Raises:
        UsageError: if the period is empty, has not begun, or is given in two ways.
    """
    if month and (since or until):
        raise UsageError("--month does not go with --since and --until: give the period in one way.")
    if until and not since:
        raise UsageError("--until goes with --since: together they are the period of the audit.")
    if month:
        begin = datetime(month.year, month.month, 1, tzinfo=UTC)
        return Period(begin, (begin + timedelta(days=32)).replace(day=1))
    if since:
        end = until or audit_period(1).until
        if since >= end:
            raise UsageError(empty_range(since, end))
        if since > datetime.now(UTC):
            raise UsageError(f"--since {format_time(since)} lies in the future. Set an earlier start.")
        return Period(since, end)
    return audit_period(days)


def read_audit(scope: TenantScope, period: Period) -> Audit:
    """Read an audit of the tenants that the scope sees.

    Raises:
        DestinationUndefinedEntity: before the first load.
    """
    sections = {name: scope.rows(query, **period.values) for name, query in SECTIONS.items()}
    jobs = scope.rows(JOBS, **period.values)
    row_sets = [*sections.items(), ("jobs", jobs)]
    digest, rows = _digest(row_sets)
    jobs_digest, _ = _digest([("jobs", jobs)])
    tenants = scope.tenants or scope.loaded_tenants()
    return Audit(period, tenants, datetime.now(UTC), sections, len(jobs), rows, digest, jobs_digest)


def _digest(row_sets: Iterable[tuple[str, list[Row]]]) -> tuple[str, int]:
    """Return the SHA-256 of named rows, and their number. It does not depend on their order or the destination."""
    digest, count = hashlib.sha256(), 0
    for name, rows in row_sets:
        rounded = map(_round_floats, rows)
        for line in sorted(json.dumps({name: row}, sort_keys=True, default=_json_text) for row in rounded):
            digest.update(line.encode())
            count += 1
    return digest.hexdigest(), count


def _round_floats(row: Row) -> Row:
    """Return a row whose floats have 6 decimals: destinations differ in the last digits."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}


def _json_text(value: Any) -> str:
    """Return a value that JSON does not have as text: times as ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
