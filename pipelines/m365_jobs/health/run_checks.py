"""Run the checks of health that have a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health import check_queries as queries
from m365_jobs.health import check_texts as texts
from m365_jobs.health.checks import CHECKS, NOT_PROVED
from m365_jobs.health.finding import Finding
from m365_jobs.health.protection import unknown_service_reason
from m365_jobs.warehouse.tenant_scope import TenantScope

Row = dict[str, Any]


def history_begins(scope: TenantScope) -> datetime:
    """Return the time (UTC) from which jobs are checked: ``:since`` of the queries."""
    try:
        newest = scope.rows(queries.OLDEST_LOAD)[0]["loaded_until"]
    except DestinationUndefinedEntity:
        newest = None
    return newest - timedelta(days=queries.HISTORY_DAYS) if newest else datetime(1970, 1, 1, tzinfo=UTC)


def run_checks(scope: TenantScope, since: datetime, protection: Iterable[Row]) -> Iterator[Finding]:
    """Yield the findings of the checks with a query; none before the first load.

    ``since`` is the result of ``history_begins``; ``protection`` are the rows of ``protection_status``.
    """
    statuses = {(row["tenant"], row["location"], row["object_type"]): row["was"] for row in protection}
    for check in CHECKS:
        if not check.query:
            continue
        assert check.describe is not None
        values = check.values()
        if values is None:
            continue
        try:
            if check.needs and not scope.rows(queries.count_query(check.needs))[0]["stored"]:
                continue
            rows = scope.rows(check.query, since=since, **values)
        except DestinationUndefinedEntity:
            continue
        for row in check.select(rows):
            partition = tenant, location, object_type = row.get("tenant"), row.get("location"), row.get("object_type")
            # Completeness is about the data of all services.
            if check.kind != NOT_PROVED and scope.ignores(tenant, object_type):
                continue
            if not check.beside or statuses.get(partition) in check.beside:
                text, about = check.describe(row)
                service = _other_service(row)
                yield Finding(check.kind, tenant, text, location, object_type, about, service=service)


def _other_service(row: Row) -> str | None:
    """Return the name of a row's service that is no object type; None for all services."""
    if row.get("object_type") or row.get("service") is None:
        return None
    return row["service"] or "unknown service"


def last_loads(scope: TenantScope) -> dict[str, datetime]:
    """Return the start of the newest recorded load of each tenant; nothing before the first load."""
    try:
        return {row["tenant"]: row["started_at"] for row in scope.rows(queries.LAST_LOADS)}
    except DestinationUndefinedEntity:
        return {}


def tenants_with_unknown_services(scope: TenantScope) -> dict[str, str]:
    """Return the reason by tenant, for tenants with jobs of an unknown service."""
    try:
        rows = scope.rows(queries.KNOWN_SERVICES)
    except DestinationUndefinedEntity:
        return {}
    counts = {row["tenant"]: (row["jobs"] - row["known"], row["known"]) for row in rows}
    return {tenant: unknown_service_reason(*count) for tenant, count in counts.items() if count[0]}


def unknown_states(scope: TenantScope) -> list[Row]:
    """Return the unknown states of each tenant, each with its ``text``."""
    return [row | texts.unknown_state(row)._asdict() for row in scope.rows(queries.UNKNOWN_STATES)]


def check_failures(scope: TenantScope) -> list[Row]:
    """Return the data checks and lasting findings of each tenant's newest load, each with its ``text``."""
    return [row | texts.check_failure(row)._asdict() for row in scope.rows(queries.CHECK_FAILURES)]
