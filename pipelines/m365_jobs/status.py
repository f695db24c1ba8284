"""What the warehouse says of itself: cursors, last loads, completeness, open jobs, rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from avepoint_m365.connection import connect
from avepoint_m365.errors import SourceError
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.versioned_state import decompress_state
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs import warehouse
from m365_jobs.check import expiry
from m365_jobs.reader import Reader, open_reader

PARTITIONS = """
WITH last AS (
    SELECT a.*, row_number() OVER (
        PARTITION BY tenant, location, object_type ORDER BY started_at DESC) AS place
    FROM {audit} a WHERE job_type IS NULL
),
proved AS (
    SELECT tenant, location, object_type, run_id, min(window_end) AS window_end
    FROM {audit} GROUP BY tenant, location, object_type, run_id HAVING min(CASE WHEN complete THEN 1 ELSE 0 END) = 1
),
latest AS (
    SELECT tenant, location, object_type, max(window_end) AS complete_until
    FROM proved GROUP BY tenant, location, object_type
),
held AS (
    SELECT tenant, location, object_type, count(*) AS rows_held, max(finish_time) AS newest_finish,
           sum(CASE WHEN finish_time IS NULL THEN 1 ELSE 0 END) AS open_jobs,
           min(CASE WHEN finish_time IS NULL THEN start_time END) AS oldest_open_start
    FROM {jobs} GROUP BY tenant, location, object_type
)
SELECT last.tenant, last.location, last.object_type, last.window_start, last.window_end, last.reported_total,
       last.distinct_jobs, last.complete, latest.complete_until, held.newest_finish,
       coalesce(held.rows_held, 0) AS rows_held, coalesce(held.open_jobs, 0) AS open_jobs,
       held.oldest_open_start
FROM last
LEFT JOIN latest ON latest.tenant = last.tenant AND latest.object_type = last.object_type
    AND coalesce(latest.location, '') = coalesce(last.location, '')
LEFT JOIN held ON held.tenant = last.tenant AND held.object_type = last.object_type
    AND coalesce(held.location, '') = coalesce(last.location, '')
WHERE last.place = 1
ORDER BY last.tenant, last.location, last.object_type
"""

STATE = """
SELECT state FROM {states} WHERE pipeline_name = %s ORDER BY version DESC, _dlt_load_id DESC LIMIT 1
"""

RUNS = """
SELECT run_id, tenant, started_at, ended_at, status, error_kind, detail, requests, jobs
FROM {runs} ORDER BY started_at DESC LIMIT 5
"""


def read(pipeline: dlt.Pipeline) -> dict[str, Any]:
    """Everything ``status`` shows: ``partitions`` and ``runs`` (lists of rows), ``tables`` (rows of each).

    The lists are empty where nothing was loaded yet. Times are datetimes in UTC.
    """
    tables = ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs")
    about = {"warehouse": warehouse.location(pipeline), "credentials": _expiry()}
    with open_reader(pipeline) as reader:
        names = {name: reader.table(name) for name in tables}
        try:
            counts = {name: reader.rows(f"SELECT count(*) AS n FROM {names[name]}")[0]["n"] for name in tables}
        except DestinationUndefinedEntity:
            return {**about, "partitions": [], "runs": [], "tables": {}}
        partitions = reader.rows(PARTITIONS.format(audit=names["load_audit"], jobs=names["jobs"]))
        runs = reader.rows(RUNS.format(runs=names["load_runs"]))
        cursors = {tenant: _cursors(reader, tenant) for tenant in {one["tenant"] for one in partitions}}
    for one in partitions:
        one["cursor"] = cursors[one["tenant"]].get((one["location"], one["object_type"]))
    return {**about, "partitions": partitions, "runs": runs, "tables": counts}


def _expiry() -> str | None:
    """What there is to say of credentials that end soon; nothing where none are configured."""
    try:
        ending = expiry(connect().credentials)
    except SourceError:
        return None
    return ending.text if ending else None


def _cursors(reader: Reader, tenant: str) -> dict[tuple[str | None, str], datetime]:
    """The cursor of each location and object type of a tenant, from dlt's state in the warehouse."""
    found = reader.rows(STATE.format(states=reader.table("_dlt_pipeline_state")), warehouse.pipeline_name(tenant))
    state: Any = decompress_state(found[0]["state"]) if found else {}
    cursors = {}
    for name, resource in state.get("sources", {}).get("avepoint_m365", {}).get("resources", {}).items():
        cursor = resource.get("incremental", {}).get("finish_time", {})
        if name.startswith("jobs_") and cursor.get("last_value") not in (None, cursor.get("initial_value")):
            location, object_type = name.removeprefix("jobs_").split("_", 1)
            key = (None if location == "all" else _location(location), object_type)
            cursors[key] = cursor["last_value"].astimezone(UTC)
    return cursors


def _location(lower: str) -> str:
    return "PrimaryGeoLocation" if lower == "primarygeolocation" else lower.upper()


def tables(found: dict[str, Any]) -> Iterator[Any]:
    """What ``read`` found, drawn for a terminal of 80 columns."""
    yield Text(f"Warehouse: {found['warehouse']}", overflow="fold")
    if found["credentials"]:
        yield Text(f"Credentials: {found['credentials']}")
    if not found["tables"]:
        yield Text("Nothing is loaded yet. Run: m365-jobs load")
        return
    yield Text("Rows: " + ", ".join(f"{name} {count:,}" for name, count in found["tables"].items()))
    partitions = Table(
        "Partition", "Jobs", "Open", "Newest finish", "Complete until", box=SIMPLE, caption="Times are UTC."
    )
    for one in found["partitions"]:
        name = "/".join(
            str(one[key]) for key in ("tenant", "location", "object_type") if one[key] not in (None, "default")
        )
        complete = _minute(one["complete_until"]) + ("" if one["complete"] else " (last load short)")
        partitions.add_row(name, f"{one['rows_held']:,}", _open(one), _minute(one["newest_finish"]), complete)
    partitions.columns[0].no_wrap = True
    for index in (1, 2):
        partitions.columns[index].justify = "right"
    yield partitions
    runs = Table("Last loads (UTC)", "Status", "Jobs", "Requests", "Detail", box=SIMPLE)
    for run in found["runs"]:
        runs.add_row(
            _minute(run["started_at"]), run["status"], f"{run['jobs']:,}", f"{run['requests']:,}", run["detail"] or ""
        )
    yield runs


def _open(partition: dict[str, Any]) -> str:
    """How many jobs are open, and for how many days the oldest is."""
    if not partition["open_jobs"]:
        return "0"
    days = (datetime.now(UTC) - partition["oldest_open_start"]) / timedelta(days=1)
    return f"{partition['open_jobs']:,} ({days:.0f} d)"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
