"""List companions that failed when loads asked for them last, as ``status`` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health.evaluate import partition_label
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]

FAILED = """
WITH newest AS (
    SELECT r.tenant, max(r.started_at) AS started_at FROM load_runs AS r GROUP BY r.tenant
),
ranked AS (
    SELECT c.tenant, c.companion, c.status, c.permission, c.detail, c.asked_at,
        row_number() OVER (
            PARTITION BY c.tenant, c.companion
            ORDER BY c.asked_at DESC, CASE WHEN c.status = 'loaded' THEN 1 ELSE 0 END
        ) AS place
    FROM companion_loads AS c
    JOIN newest AS n ON n.tenant = c.tenant
    WHERE epoch(n.started_at) - epoch(c.asked_at) <= 2 * 86400
)
SELECT k.tenant, k.companion, k.status, k.permission, k.detail, k.asked_at
FROM ranked AS k WHERE k.place = 1 AND k.status <> 'loaded' ORDER BY k.tenant, k.companion
"""
"""Companions that failed when they were asked last. Loads ask each day for those that are included."""


def failed_companions(scope: TenantScope) -> list[Row]:
    """Return the companions that failed; none in a warehouse of before there were companions."""
    try:
        return scope.rows(FAILED)
    except DestinationUndefinedEntity:
        return []


def failure_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each cause that companions fail by, a missing permission once."""
    causes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        denied = row["status"] == "permission_missing"
        cause = f"permission {row['permission']} is missing" if denied else str(row["detail"])
        causes.setdefault((row["tenant"], cause), []).append(row)
    for (tenant, cause), some in causes.items():
        name = partition_label(tenant, None, None)
        yield f"Skipped: {name + ': ' if name else ''}{', '.join(row['companion'] for row in some)}: {cause}."
