"""Read the status of the warehouse: cursors, last loads, completeness, open jobs, findings and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.versioned_state import decompress_state

from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.tenants import configured
from m365_jobs.health.alerts.document import alerts_document
from m365_jobs.health.expiry import expiries
from m365_jobs.health.failed_companions import failed_companions
from m365_jobs.health.run_checks import check_failures
from m365_jobs.schema import SCHEMA
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.pipeline import pipeline_name
from m365_jobs.warehouse.reader import Reader
from m365_jobs.warehouse.target import READER_WAIT, Target, address_of, open_warehouse
from m365_jobs.warehouse.tenant_scope import TenantScope, open_scope

LOADS = """
SELECT p.tenant, p.location, p.object_type, p.complete, p.complete_until, p.last_complete_load_at, p.last_load_at
FROM partition_loads AS p
"""

STORED = """
SELECT j.tenant, j.location, j.object_type, count(*) AS rows_held, max(j.finish_time) AS newest_finish
FROM jobs AS j GROUP BY j.tenant, j.location, j.object_type
"""

OPEN = """
SELECT o.tenant, o.location, o.object_type, count(*) AS open_jobs, min(o.start_time) AS oldest_open_start
FROM open_jobs AS o GROUP BY o.tenant, o.location, o.object_type
"""

WITHOUT_LOAD = {"complete": False, "complete_until": None, "last_complete_load_at": None, "last_load_at": None}
WITHOUT_JOBS = {"rows_held": 0, "newest_finish": None, "open_jobs": 0, "oldest_open_start": None}

STATE = """
SELECT state FROM {states} WHERE pipeline_name = %s ORDER BY version DESC, _dlt_load_id DESC LIMIT 1
"""

RUNS = """
WITH ranked AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.tenant ORDER BY r.started_at DESC) AS place FROM load_runs AS r
)
SELECT k.run_id, k.tenant, k.started_at, k.ended_at, k.status, k.error_kind, k.detail, k.requests, k.jobs
FROM ranked AS k WHERE k.place <= 5 ORDER BY k.started_at DESC
"""
"""The last five loads of each tenant."""

AHEAD = """
SELECT a.tenant, max(a.window_end) AS window_end FROM load_audit AS a
WHERE a.window_end > :latest OR a.started_at > :latest GROUP BY a.tenant ORDER BY a.tenant
"""

Row = dict[str, Any]

TABLES = ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs")

COUNTS = {name: f"SELECT count(*) AS n FROM {name} AS t" for name in TABLES}


class WarehouseStatus(TypedDict):
    """Describe the document of ``status``. Times are datetimes in UTC.

    Before the first load, ``partitions``, ``runs`` and ``tables`` are empty.
    """

    warehouse: str
    """The address, without secrets."""
    credentials: str | None
    """A message about credentials that end soon."""
    never_loaded: list[str]
    """Names of tenants."""
    clocks_ahead: list[Row]
    """Loads that are left out because of a wrong clock."""
    undelivered: list[Row]
    """Messages about alerts that no receiver has accepted."""
    unknown_services: list[Row]
    """Jobs of unknown services per location."""
    findings: list[Row]
    """Checks that failed in each tenant's newest load."""
    companions: list[Row]
    """Companions whose last request failed."""
    partitions: list[Row]
    runs: list[Row]
    """The last five loads of each tenant."""
    tables: dict[str, int]
    """Number of rows of each table."""


def read_status(
    destination: str | None = None,
    dataset: str | None = None,
    tenants: Sequence[str] = (),
    wait: float = READER_WAIT,
    notify: Notify = lambda _: None,
) -> WarehouseStatus:
    """Return the document of ``status`` for the named tenants, or for all.

    Raises:
        UsageError: for an unknown tenant.
    """
    pipeline = open_warehouse(destination, dataset, wait, notify)
    with open_scope(pipeline, tenants) as scope:
        loaded = scope.loaded_tenants()
        document: WarehouseStatus = {
            "warehouse": address_of(pipeline),
            "credentials": _expiry(tenants or loaded),
            "never_loaded": sorted({*(tenants or configured())} - {*loaded}),
            "clocks_ahead": [],
            "undelivered": alerts_document(pipeline, tenants)["undelivered"],
            "unknown_services": [],
            "findings": [],
            "companions": [],
            "partitions": [],
            "runs": [],
            "tables": {},
        }
        everything = scope.with_clocks_ahead()
        try:
            counts = {name: everything.rows(query)[0]["n"] for name, query in COUNTS.items()}
            rows, runs, document["clocks_ahead"] = _all_partitions(scope), scope.rows(RUNS), everything.rows(AHEAD)
            document["findings"] = check_failures(scope)
        except DestinationUndefinedEntity:
            return {**document, "runs": scope.rows(RUNS) if loaded else []}
        document["companions"] = failed_companions(scope)
        document["unknown_services"] = [row for row in rows if row["object_type"] is None and row["rows_held"]]
        partitions = _shown_partitions(rows)
        cursors = {tenant: _cursors(pipeline, scope.reader, tenant) for tenant in {row["tenant"] for row in partitions}}
    for row in partitions:
        row["cursor"] = cursors[row["tenant"]].get((row["location"], row["object_type"]))
    return {**document, "partitions": partitions, "runs": runs, "tables": counts}


def _all_partitions(scope: TenantScope) -> list[Row]:
    """Return the loads and stored jobs of each partition that has either, in alphabetical order."""
    partitions: dict[tuple[str, str, str], Row] = {}
    for query in (LOADS, STORED, OPEN):
        for row in scope.rows(query):
            key = row["tenant"], row["location"] or "", row["object_type"] or ""
            partitions[key] = partitions.get(key, WITHOUT_LOAD | WITHOUT_JOBS) | row
    return [partitions[key] for key in sorted(partitions)]


def _shown_partitions(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of services; for a location without any, its row of all services.

    Loads of a tenant with locations also read the listing of all locations. Unless its services have jobs or are not
    complete, they are left out: their row would say that the service has no job.
    """
    with_locations = {row["tenant"] for row in rows if row["location"] is not None}
    rows = [
        row
        for row in rows
        if row["location"] is not None
        or row["tenant"] not in with_locations
        or row["rows_held"]
        or not (row["object_type"] and row["complete"])
    ]
    with_services = {(row["tenant"], row["location"]) for row in rows if row["object_type"]}
    tenants = {tenant for tenant, _ in with_services}
    return [
        row
        for row in rows
        if row["object_type"]
        or (
            not row["rows_held"]
            and (row["tenant"], row["location"]) not in with_services
            and (row["location"] is not None or row["tenant"] not in tenants)
        )
    ]


def _expiry(tenants: Iterable[str]) -> str | None:
    """Return a message about credentials that end soon, if any are configured."""
    default = configured_tenant()
    texts = [
        f"they {expiry.text}" if name == default else f"{name}: they {expiry.text}"
        for name, expiry in expiries(sorted({*tenants} or {default, *configured()}))
    ]
    return "; ".join(texts) or None


def _cursors(pipeline: Target, reader: Reader, tenant: str) -> dict[tuple[str | None, str], datetime]:
    """Return the cursor of each location and object type of a tenant, from dlt's state in the warehouse."""
    stored = _state(pipeline, reader, pipeline_name(tenant))
    state: Any = decompress_state(stored) if stored else {}
    cursors = {}
    for name, resource in state.get("sources", {}).get(SCHEMA, {}).get("resources", {}).items():
        cursor = resource.get("incremental", {}).get("finish_time", {})
        if name.startswith("jobs_") and cursor.get("last_value") not in (None, cursor.get("initial_value")):
            location, object_type = name.removeprefix("jobs_").split("_", 1)
            key = (None if location == "all" else _location(location), object_type)
            cursors[key] = cursor["last_value"].astimezone(UTC)
    return cursors


def _state(pipeline: Target, reader: Reader, name: str) -> str | None:
    """Return dlt's compressed state of a pipeline from the warehouse; None without one."""
    if kind_of(pipeline).is_lake:
        with pipeline.destination_client() as client:
            assert isinstance(client, WithStateSync)
            stored = client.get_stored_state(name)
            return stored.state if stored else None
    states = reader.rows(STATE.format(states=reader.table("_dlt_pipeline_state")), name)
    return str(states[0]["state"]) if states else None


def _location(lower: str) -> str:
    return "PrimaryGeoLocation" if lower == "primarygeolocation" else lower.upper()
