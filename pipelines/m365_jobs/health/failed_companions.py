"""List companions whose last request failed, for ``status``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health.finding import partition_label
from m365_jobs.text import format_count
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]

MOST_NAMES = 10
"""The most tenants that a line names."""

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
"""Companions whose last request failed. Loads request the included ones each day."""


def failed_companions(scope: TenantScope) -> list[Row]:
    """Return the companions whose last request failed; none if the warehouse lacks their table."""
    try:
        return scope.rows(FAILED)
    except DestinationUndefinedEntity:
        return []


def failure_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each cause, with all companions that failed for it, and its tenants.

    Of more than ``MOST_NAMES`` tenants, only their number is shown: hundreds may lack the same permission.
    """
    causes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        denied = row["status"] == "permission_missing"
        cause = f"permission {row['permission']} is missing" if denied else str(row["detail"]).removesuffix(".")
        causes.setdefault((row["tenant"], cause), []).append(row)
    tenants: dict[str, list[str]] = {}
    for (tenant, cause), failures in causes.items():
        line = f"{', '.join(row['companion'] for row in failures)}: {cause}."
        tenants.setdefault(line, []).append(partition_label(tenant, None, None))
    for line, names in tenants.items():
        shown = ", ".join(filter(None, names)) if len(names) <= MOST_NAMES else format_count(len(names), "tenant")
        yield f"Skipped: {shown}: {line}" if shown else f"Skipped: {line}"
