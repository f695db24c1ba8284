"""The dlt source for jobs of AvePoint Cloud Backup for Microsoft 365.

import dlt
from avepoint_m365 import avepoint_m365

dlt.pipeline("jobs", destination="duckdb").run(avepoint_m365())
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from avepoint_m365 import tables
from avepoint_m365.client import JobsClient
from avepoint_m365.config import (
    SECTION,
    AvePointCredentials,
    check_locations,
    check_object_types,
    parse_moment,
    resolve_addresses,
    unknown,
)
from avepoint_m365.errors import ConfigurationError
from avepoint_m365.partition import Partition, PartitionReader, PartitionResult
from avepoint_m365.settings import Endpoint, ObjectType

__all__ = ["avepoint_m365"]

logger = logging.getLogger(__name__)

DEFAULT_HISTORY = timedelta(days=730)
"""How far back the first load begins where no ``start_date`` is given."""

_ENDPOINTS = ("auto", *(one.value for one in Endpoint))


def _hints(name: str, key: list[str] | None, merge_key: list[str] | None = None) -> Any:
    columns: Any = {"_removed": {"name": "_removed", "data_type": "bool", "hard_delete": True}} if merge_key else None
    return dlt.mark.make_hints(
        table_name=name,
        write_disposition={"disposition": "merge", "strategy": "delete-insert"} if key else "append",
        primary_key=key,
        merge_key=merge_key,
        columns=columns,
    )


_JOBS = _hints("jobs", ["tenant", "id"])
_DETAILS = _hints("jobs__backup_details", ["tenant", "job_id"])
_ERRORS = _hints("jobs__job_errors", ["tenant", "job_id", "error_index"], ["tenant", "job_id"])
_AUDIT = _hints("load_audit", None)


@dlt.source(name="avepoint_m365", section="avepoint_m365")
def avepoint_m365(
    credentials: AvePointCredentials = dlt.secrets.value,
    data_center: str = "us",
    environment: str | None = None,
    base_url: str | None = None,
    token_url: str | None = None,
    endpoint: str = "auto",
    tenant: str = "default",
    locations: list[str] | None = None,
    object_types: list[str] | None = None,
    split_job_types: bool = True,
    start_date: str | None = None,
    lag_hours: float = 24,
    max_open_days: float = 14,
    page_size: int = 500,
    concurrency: int = 8,
    trusted_hosts: list[str] | None = None,
) -> Iterable[DltResource]:
    """Jobs of one tenant: a resource for each location and object type, all filling the same four tables.

    Args:
        credentials: Client id with secret or certificate.
        data_center: Where the tenant lives; picks host and identity service.
        environment: commercial, gov, aos2 or fedramp; from ``data_center`` where unset.
        base_url: API address instead of the data centre's.
        token_url: Token address instead of the environment's.
        endpoint: jobs, cloudbackupjobs, or auto (whichever the host has).
        tenant: Label stamped on every row.
        locations: Locations of a Multi-Geo tenant; unset asks once, for all.
        object_types: Services to load; all twelve where unset.
        split_job_types: Whether to ask per job type too, so that rows know theirs.
        start_date: Where the first load begins (UTC without a zone); two years ago where unset.
        lag_hours: Hours behind the newest finish that each load looks again.
        max_open_days: Days for which an unfinished job is followed.
        page_size: Jobs asked for on a page; the server may give fewer.
        concurrency: Requests in flight at most.
        trusted_hosts: Hosts that ``base_url`` and ``token_url`` may name beside the vendor's.

    Raises:
        ConfigurationError: before any request, naming the key, the value and the known values.
    """
    if endpoint not in _ENDPOINTS:
        raise unknown("endpoint", endpoint, _ENDPOINTS)
    for key, value in {"page_size": page_size, "concurrency": concurrency}.items():
        if value < 1:
            raise ConfigurationError(f"{SECTION}.{key} = {value} must be 1 or more.")
    for key, days in {"lag_hours": lag_hours, "max_open_days": max_open_days}.items():
        if not 0 <= days < 100_000:
            raise ConfigurationError(f"{SECTION}.{key} = {days} must be 0 or more.")
    addresses = resolve_addresses(data_center, environment, base_url, token_url, trusted_hosts)
    asked, warnings = check_locations(locations)
    for warning in warnings:
        logger.warning(warning)
    now = datetime.now(UTC).replace(microsecond=0)
    start = parse_moment(f"{SECTION}.start_date", start_date) if start_date else now - DEFAULT_HISTORY
    client = JobsClient(addresses, credentials.identity(), endpoint, concurrency)
    loading = _Loading(
        PartitionReader(client, page_size, split_job_types),
        tenant,
        now,
        timedelta(hours=lag_hours),
        timedelta(days=max_open_days),
    )
    for location in asked:
        for object_type in check_object_types(object_types):
            yield loading.resource(location, object_type, start)


class _Loading:
    """What the resources of one load share."""

    def __init__(
        self, reader: PartitionReader, tenant: str, now: datetime, lag: timedelta, max_open: timedelta
    ) -> None:
        self.reader, self.tenant, self.now, self.lag, self.max_open = reader, tenant, now, lag, max_open
        self.run_id = uuid4().hex

    def resource(self, location: str | None, object_type: ObjectType, start: datetime) -> DltResource:
        name = f"jobs_{location.lower() if location else 'all'}_{object_type.name}"

        cursor: Any = dlt.sources.incremental(
            tables.CURSOR, initial_value=start, primary_key=(), on_cursor_value_missing="include"
        )

        def jobs(
            finish_time: Any = cursor,
        ) -> Iterator[Any]:
            state = dlt.current.resource_state(name)
            window_start = self._window_start(finish_time.last_value, state.get("oldest_open"), start)
            result = self.reader.read(Partition(location, object_type, window_start, self.now))
            yield from self._items(result, finish_time.last_value)
            if result.complete:
                state["oldest_open"] = _oldest_open(result)

        resource = dlt.resource(jobs, name=name, parallelized=True)
        # Behind the generator (0) and the incremental (1).
        return resource.add_map(_restore, insert_at=2)

    def _window_start(self, cursor: datetime, oldest_open: str | None, first: datetime) -> datetime:
        """The lag behind the cursor; back to the oldest open job, but no further than ``max_open``."""
        starts = [min(cursor, self.now) - self.lag]
        if oldest_open:
            starts.append(max(datetime.fromisoformat(oldest_open), self.now - self.max_open))
        return max(min(starts), first).replace(microsecond=0)

    def _items(self, result: PartitionResult, cursor: datetime) -> Iterator[Any]:
        fetched_at = datetime.now(UTC)
        job_table = tables.to_arrow(tables.job_rows(result, self.tenant, fetched_at), tables.JOBS)
        errors = tables.error_rows(result, self.tenant)
        with_errors = {row["job_id"] for row in errors}
        # Errors that are gone from the API must go from the warehouse: a marker deletes what a job had before.
        errors += [
            {"tenant": self.tenant, "job_id": one, "error_index": -1, "_removed": True}
            for one in result.jobs
            if one not in with_errors
        ]
        yield _marked(_JOBS, job_table, after=cursor if result.complete else None)
        yield _marked(_DETAILS, tables.to_arrow(tables.detail_rows(result, self.tenant), tables.DETAILS))
        yield _marked(_ERRORS, tables.to_arrow(errors, tables.ERRORS.append(pa.field("_removed", pa.bool_()))))
        yield _marked(_AUDIT, tables.to_arrow(tables.audit_rows(result, self.tenant, self.run_id), tables.AUDIT))


def _oldest_open(result: PartitionResult) -> str | None:
    starts: Sequence[datetime] = [
        one.job["start_time"] for one in result.jobs.values() if not one.job["finish_time"] and one.job["start_time"]
    ]
    return min(starts).isoformat() if starts else None


def _marked(hints: Any, table: pa.Table, after: datetime | None = None) -> Any:
    """An Arrow table for one warehouse table, with the cursor column that dlt's incremental wants in each.

    The incremental drops rows whose cursor lies before its start value, and moves to the largest it sees. So the
    column holds only finish times later than ``after``, and none where the cursor must not move (an unproven
    partition, child tables): rows without a cursor always pass. The true finish time travels beside it.
    """
    if tables.CURSOR not in table.schema.names:
        return dlt.mark.with_hints(
            table.append_column(tables.CURSOR, pa.nulls(table.num_rows, tables.TIME)), hints, create_table_variant=True
        )
    finish = table.column(tables.CURSOR)
    nothing = pa.nulls(table.num_rows, tables.TIME)
    moves = pc.greater(finish, pa.scalar(after, tables.TIME)) if after else pa.scalar(False)
    index = table.schema.get_field_index(tables.CURSOR)
    table = table.append_column(tables.KNOWN_FINISH, finish)
    table = table.set_column(index, tables.CURSOR, pc.if_else(moves, finish, nothing))
    return dlt.mark.with_hints(table, hints, create_table_variant=True)


def _restore(table: pa.Table) -> pa.Table:
    """Undoes ``_marked`` after the incremental has seen the table."""
    if tables.KNOWN_FINISH not in table.schema.names:
        return table.drop_columns([tables.CURSOR])
    index = table.schema.get_field_index(tables.CURSOR)
    table = table.set_column(index, tables.CURSOR, table.column(tables.KNOWN_FINISH))
    return table.drop_columns([tables.KNOWN_FINISH])
