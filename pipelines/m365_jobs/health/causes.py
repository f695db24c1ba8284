"""Read why findings hold: the most frequent error messages of the jobs behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health.check_queries import NEWEST, UNSUCCESSFUL
from m365_jobs.health.checks import Reason
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.text import format_count, shorten
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_MESSAGES = 3
"""Messages of a finding at most."""

MAX_LENGTH = 120
"""Characters of a message at most: some hold the text of a whole answer."""

SINCE_SUCCESS = """LEFT JOIN (
        SELECT b.tenant, b.location, b.object_type, max(b.finish_time) AS last_success_at
        FROM evaluated_backups AS b
        WHERE b.succeeded = 1 AND b.finish_time >= :since
        GROUP BY b.tenant, b.location, b.object_type
    ) AS p
        ON p.tenant = f.tenant AND p.object_type = f.object_type AND coalesce(p.location, '') = coalesce(f.location, '')
    WHERE f.job_type = 'backup' AND f.outcome IN ('failure', 'warning')
        AND (p.last_success_at IS NULL OR epoch(f.finish_time) > epoch(p.last_success_at))"""

CAUSES: dict[str, tuple[int, str]] = {
    ProtectionStatus.failing: (30, SINCE_SUCCESS),
    ProtectionStatus.never: (30, SINCE_SUCCESS),
    ProtectionStatus.late: (30, SINCE_SUCCESS),
    "failed_backups": (14, f"WHERE f.job_type = 'backup' AND {UNSUCCESSFUL}"),
    "failed_objects": (1, "WHERE f.failed_number > 0"),
    "failed_restores": (7, "WHERE f.job_type = 'restore' AND f.outcome = 'failure'"),
}
"""Kind of finding to the days before the newest load, and the condition of the jobs behind it."""

QUERY = f"""
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
        row_number() OVER (PARTITION BY c.tenant, c.location, c.object_type ORDER BY c.jobs DESC, c.message) AS place
    FROM counted AS c
)
SELECT k.tenant, k.location, k.object_type, k.message, k.jobs
FROM ranked AS k
WHERE k.place <= {MAX_MESSAGES}
ORDER BY k.tenant, k.location, k.object_type, k.place
"""


def query_of(kind: str) -> str:
    """Return the query of a kind of ``CAUSES``."""
    days, condition = CAUSES[kind]
    return QUERY.format(days=days, condition=condition)


def with_causes(scope: TenantScope, reasons: Iterable[Reason], since: datetime) -> Iterator[Reason]:
    """Yield the findings, each with the error messages of its jobs since ``since``, the most frequent first."""
    reasons = list(reasons)
    messages: dict[tuple[str, str | None, str | None, str | None], list[str]] = {}
    # Kinds that ask for the same jobs share one query.
    for query in {query_of(reason.kind) for reason in reasons if reason.kind in CAUSES}:
        try:
            rows = scope.rows(query, since=since)
        except DestinationUndefinedEntity:
            # A warehouse without errors has no table of them.
            continue
        for row in rows:
            place = (query, row["tenant"], row["location"], row["object_type"])
            messages.setdefault(place, []).append(_counted(row))
    for reason in reasons:
        if reason.kind in CAUSES:
            place = (query_of(reason.kind), reason.tenant, reason.location, reason.object_type)
            reason = replace(reason, errors=tuple(messages.get(place, ())))
        yield reason


def _counted(row: dict[str, Any]) -> str:
    text = shorten(row["message"].strip(), MAX_LENGTH, "…")
    return f'"{text}" ({format_count(row["jobs"], "job")})'
