"""What the warehouse says of itself: cursors, last loads, completeness, open jobs, rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.versioned_state import decompress_state
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.config.tenants import configured
from m365_jobs.health.alerts import show
from m365_jobs.health.evaluate import NAMELESS, place
from m365_jobs.health.output import in_lines
from m365_jobs.health.preflight import expiries
from m365_jobs.text import harmless
from m365_jobs.warehouse import audit
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations import lake
from m365_jobs.warehouse.reader import Reader
from m365_jobs.warehouse.tenant_scope import open_scope

HELD = """
    SELECT j.tenant, j.location, j.object_type, count(*) AS rows_held, max(j.finish_time) AS newest_finish,
        sum(CASE WHEN j.finish_time IS NULL THEN 1 ELSE 0 END) AS open_jobs,
        min(CASE WHEN j.finish_time IS NULL THEN j.start_time END) AS oldest_open_start
    FROM jobs AS j GROUP BY j.tenant, j.location, j.object_type"""

PARTITIONS = f"""
WITH last AS (
    SELECT a.*, row_number() OVER (
        PARTITION BY tenant, location, object_type ORDER BY window_end DESC, started_at DESC) AS place
    FROM load_audit AS a WHERE a.job_type IS NULL
),
proved AS (
    SELECT r.* FROM ({audit.OF_PARTITIONS}) AS r WHERE r.complete = 1
),
latest AS (
    SELECT tenant, location, object_type, max(window_end) AS complete_until
    FROM proved GROUP BY tenant, location, object_type
),
held AS ({HELD})
SELECT last.tenant, last.location, last.object_type, last.window_start, last.window_end, last.reported_total,
       last.distinct_jobs, CASE WHEN proved.run_id IS NULL THEN FALSE ELSE TRUE END AS complete,
       latest.complete_until, held.newest_finish,
       coalesce(held.rows_held, 0) AS rows_held, coalesce(held.open_jobs, 0) AS open_jobs,
       held.oldest_open_start
FROM last
LEFT JOIN proved ON proved.tenant = last.tenant AND proved.object_type = last.object_type
    AND coalesce(proved.location, '') = coalesce(last.location, '') AND proved.run_id = last.run_id
LEFT JOIN latest ON latest.tenant = last.tenant AND latest.object_type = last.object_type
    AND coalesce(latest.location, '') = coalesce(last.location, '')
LEFT JOIN held ON held.tenant = last.tenant AND held.object_type = last.object_type
    AND coalesce(held.location, '') = coalesce(last.location, '')
WHERE last.place = 1
ORDER BY last.tenant, last.location, last.object_type
"""

HELD_NAMELESS = f"SELECT h.* FROM ({HELD}) AS h WHERE h.object_type IS NULL ORDER BY h.tenant, h.location"
"""Jobs whose service is not known: they lie in no partition that is asked for."""

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
"""The last five of each tenant."""

AHEAD = """
SELECT a.tenant, max(a.window_end) AS window_end FROM load_audit AS a
WHERE a.window_end > :latest GROUP BY a.tenant ORDER BY a.tenant
"""

NAME = 24
"""Letters that a partition's name has on a terminal of 80 columns."""

TABLES = ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs")


def read(destination: str | None = None, dataset: str | None = None, tenants: Sequence[str] = ()) -> dict[str, Any]:
    """Everything ``status`` shows of the tenants named, or of all: ``partitions`` and ``runs`` (lists of rows),
    ``tables`` (rows of each), ``never_loaded`` (names), ``clocks_ahead`` (until when loads reach that are left out),
    ``nameless`` (per location, the jobs whose service is not known).

    The lists are empty where nothing was loaded yet. Times are datetimes in UTC.

    Raises:
        UsageError: for a tenant that nobody knows.
    """
    pipeline = warehouse.open_pipeline(warehouse.configured_tenant(), destination, dataset)
    with open_scope(pipeline, tenants) as scope:
        held = scope.held()
        about: dict[str, Any] = {
            "warehouse": warehouse.location(pipeline),
            "credentials": _expiry(tenants or held),
            "never_loaded": sorted({*(tenants or configured())} - {*held}),
            "clocks_ahead": [],
            "undelivered": show.document(pipeline, tenants)["undelivered"],
            "nameless": [],
        }
        everything = scope.with_clocks_ahead()
        try:
            counts = {name: everything.rows(f"SELECT count(*) AS n FROM {name} AS t")[0]["n"] for name in TABLES}
            partitions, runs, about["clocks_ahead"] = scope.rows(PARTITIONS), scope.rows(RUNS), everything.rows(AHEAD)
            about["nameless"] = scope.rows(HELD_NAMELESS)
        except DestinationUndefinedEntity:
            return {**about, "partitions": [], "runs": [], "tables": {}}
        loaded = {one["tenant"] for one in partitions}
        cursors = {tenant: _cursors(pipeline, scope.reader, tenant) for tenant in loaded}
    for one in partitions:
        one["cursor"] = cursors[one["tenant"]].get((one["location"], one["object_type"]))
    return {**about, "partitions": partitions, "runs": runs, "tables": counts}


def _expiry(tenants: Iterable[str]) -> str | None:
    """What there is to say of credentials that end soon; nothing where none are configured."""
    default = warehouse.configured_tenant()
    found = dict(expiries(sorted({*tenants} or {default, *configured()})))
    return "; ".join(text if name == default else f"{name}: {text}" for name, text in found.items()) or None


def _cursors(pipeline: dlt.Pipeline, reader: Reader, tenant: str) -> dict[tuple[str | None, str], datetime]:
    """The cursor of each location and object type of a tenant, from dlt's state in the warehouse."""
    held = _state(pipeline, reader, warehouse.pipeline_name(tenant))
    state: Any = decompress_state(held) if held else {}
    cursors = {}
    for name, resource in state.get("sources", {}).get("avepoint_m365", {}).get("resources", {}).items():
        cursor = resource.get("incremental", {}).get("finish_time", {})
        if name.startswith("jobs_") and cursor.get("last_value") not in (None, cursor.get("initial_value")):
            location, object_type = name.removeprefix("jobs_").split("_", 1)
            key = (None if location == "all" else _location(location), object_type)
            cursors[key] = cursor["last_value"].astimezone(UTC)
    return cursors


def _state(pipeline: dlt.Pipeline, reader: Reader, name: str) -> str | None:
    """The state that the warehouse holds of a pipeline, as dlt wrote it."""
    if lake.is_lake(pipeline):
        with pipeline.destination_client() as client:
            assert isinstance(client, WithStateSync)
            stored = client.get_stored_state(name)
            return stored.state if stored else None
    found = reader.rows(STATE.format(states=reader.table("_dlt_pipeline_state")), name)
    return str(found[0]["state"]) if found else None


def _location(lower: str) -> str:
    return "PrimaryGeoLocation" if lower == "primarygeolocation" else lower.upper()


def tables(found: dict[str, Any]) -> Iterator[Any]:
    """What ``read`` found, drawn for a terminal of 80 columns."""
    yield Text(f"Warehouse: {found['warehouse']}", overflow="fold")
    if found["credentials"]:
        yield Text(f"Credentials: {found['credentials']}")
    yield from show.undelivered_lines(found["undelivered"])
    if not found["tables"]:
        yield Text("Nothing is loaded yet. Run: m365-jobs load")
        return
    if found["never_loaded"]:
        yield Text(harmless(f"Never loaded: {', '.join(found['never_loaded'])}"))
    for one in found["clocks_ahead"]:
        text = f"{one['tenant']}: loads whose clock was ahead, at {_minute(one['window_end'])} UTC, are left out below."
        yield Text(harmless(text))
    yield Text("Rows: " + ", ".join(f"{name} {count:,}" for name, count in found["tables"].items()))
    yield _partitions(found["partitions"], found["nameless"])
    # Below, as health has it: a caption of the table is folded to its width, however much room there is beside it.
    yield Text("Times are UTC. Open: jobs that run, and for how many days the oldest has.", "dim")
    if found["nameless"]:
        yield Text(f"Jobs of an unknown service: {NAMELESS}.")
    yield from _runs(found["runs"])


def _partitions(rows: list[dict[str, Any]], nameless: list[dict[str, Any]]) -> Table:
    table = Table(
        *("Partition", "Jobs", "Open\n(oldest)", "Newest\nfinish", "Complete\nuntil"),
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for one in rows:
        table.add_row(
            in_lines(place(one["tenant"], one["location"], one["object_type"]), NAME),
            f"{one['rows_held']:,}",
            _open(one),
            _short(one["newest_finish"]),
            _short(one["complete_until"]) + ("" if one["complete"] else "\nlast load short"),
        )
    for one in nameless:
        name = in_lines(place(one["tenant"], one["location"], "unknown service"), NAME)
        table.add_row(name, f"{one['rows_held']:,}", _open(one), _short(one["newest_finish"]), "-")
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[1:3]:
        column.justify = "right"
    return table


def _runs(runs: list[dict[str, Any]]) -> Iterator[Any]:
    """The last loads of one tenant, or the last load of each of several; below, what there is to say of them."""
    last = {run["tenant"]: run for run in reversed(runs)}
    several = len(last) > 1
    first = ("Tenant", "Last load (UTC)") if several else ("Last loads (UTC)",)
    table = Table(*first, "Status", "Jobs", "Requests", box=SIMPLE, padding=(0, 1, 0, 0))
    shown = sorted(last.values(), key=lambda run: str(run["tenant"])) if several else runs
    for run in shown:
        names = [Text(run["tenant"])] if several else []
        table.add_row(*names, _minute(run["started_at"]), run["status"], f"{run['jobs']:,}", f"{run['requests']:,}")
    if several:
        table.columns[0].overflow = "fold"
    for column in table.columns[several:]:
        column.no_wrap = True
    for column in table.columns[-2:]:
        column.justify = "right"
    yield table
    for run in shown:
        if run["detail"]:
            about = run["tenant"] if several else _minute(run["started_at"])
            yield Text(harmless(f"{about}: {run['detail']}"))


def _open(partition: dict[str, Any]) -> str:
    """How many jobs are open, and for how many days the oldest is; of a job that waits, the API may give no start."""
    if not partition["open_jobs"]:
        return "0"
    oldest = partition["oldest_open_start"]
    age = f"{(datetime.now(UTC) - oldest) / timedelta(days=1):.0f} d" if oldest else "?"
    return f"{partition['open_jobs']:,} ({age})"


def _short(moment: datetime | None) -> str:
    """A time to the minute, or if it is long ago, its day."""
    if moment and datetime.now(UTC) - moment < timedelta(days=300):
        return f"{moment:%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d}" if moment else "-"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
