"""The tables of the warehouse: names, columns, types and keys, as Arrow schemas and dlt hints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.listing import PartitionResult
from avepoint_m365.parse.values import COUNT, DETAIL_SPELLINGS, ERROR_FIELDS, FLAG, REAL, TEXT, TIME

CURSOR = "finish_time"
REMOVED = "_dlt_removed"
"""Marks a row of ``jobs__job_errors`` that only deletes what the job had before; never stays in the table."""


def _key(*names: str) -> list[pa.Field]:
    return [pa.field(name, TEXT, nullable=False) for name in names]


JOBS = pa.schema(
    [
        *_key("tenant", "id"),
        *((name, TEXT) for name in ("location", "object_type", "job_type", "state")),
        ("start_time", TIME),
        (CURSOR, TIME),
        ("duration_hours", REAL),
        ("fetched_at", TIME),
    ]
)
UNKNOWN_FIELDS = "unknown_fields"
JOBS_WITH_UNKNOWN = JOBS.append(pa.field(UNKNOWN_FIELDS, TEXT))
"""With the fields of a job that the reference does not name, as JSON; null where there are none."""
DETAILS = pa.schema(
    [
        *_key("tenant", "job_id"),
        *((name, COUNT) for name in DETAIL_SPELLINGS),
    ]
)
ERRORS = pa.schema(
    [
        *_key("tenant", "job_id"),
        pa.field("error_index", COUNT, nullable=False),
        *ERROR_FIELDS.items(),
        (REMOVED, FLAG),
    ]
)
AUDIT = pa.schema(
    [
        *_key("run_id"),
        *((name, TEXT) for name in ("tenant", "location", "object_type", "job_type")),
        ("window_start", TIME),
        ("window_end", TIME),
        ("endpoint", TEXT),
        *((name, COUNT) for name in ("page_size", "requests", "retries", "reported_total")),
        ("total_basis", TEXT),
        ("distinct_jobs", COUNT),
        ("in_progress", COUNT),
        ("complete", FLAG),
        pa.field("started_at", TIME, nullable=False),
        ("elapsed_seconds", REAL),
    ]
)


def job_rows(result: PartitionResult, tenant: str, fetched_at: datetime, schema: pa.Schema) -> pa.Table:
    """``jobs``: what the API says of each job and what only the request knows; ``schema`` is one of the two."""
    jobs, partition = result.jobs, result.partition
    types = {job_id: job_type.name for job_id, job_type in result.job_types.items()}
    known: dict[str, Any] = {
        "tenant": _same(tenant, TEXT, jobs),
        "location": _same(partition.location, TEXT, jobs),
        "object_type": _same(_object_type(result), TEXT, jobs),
        "job_type": pa.array([types.get(job_id) for job_id in jobs["id"].to_pylist()], TEXT),
        "fetched_at": _same(fetched_at, TIME, jobs),
    }
    return _table(schema, jobs, known)


def _object_type(result: PartitionResult) -> str | None:
    asked = result.partition.object_type
    return asked.name if asked and result.object_type_is_told else None


def detail_rows(result: PartitionResult, tenant: str) -> pa.Table:
    """``jobs__backup_details``, a row for each job."""
    jobs = result.jobs
    return _table(DETAILS, jobs, {"tenant": _same(tenant, TEXT, jobs), "job_id": jobs["id"]})


def error_rows(result: PartitionResult, tenant: str) -> pa.Table:
    """``jobs__job_errors``; for a job without errors a marker that removes those it had."""
    jobs = result.jobs.combine_chunks()
    errors = jobs["errors"].combine_chunks()
    parents = pc.list_parent_indices(errors)
    fields = errors.flatten()
    # The index of an error within its job: its place among all less that of its job's first.
    first = pc.take(errors.offsets, parents)
    index = pc.subtract(
        pa.array(range(len(parents)), COUNT), pc.subtract(first.cast(COUNT), errors.offsets[0].cast(COUNT))
    )
    rows = {name: fields.field(name) for name in ERROR_FIELDS}
    rows |= {"job_id": pc.take(jobs["id"], parents), "error_index": index}
    found = _table(ERRORS, pa.table(rows), {"tenant": _same(tenant, TEXT, fields), REMOVED: _same(None, FLAG, fields)})
    without = jobs.filter(pc.equal(pc.list_value_length(errors), 0))
    markers: dict[str, Any] = {name: _same(None, type, without) for name, type in ERROR_FIELDS.items()}
    markers |= {"tenant": _same(tenant, TEXT, without), "error_index": _same(-1, COUNT, without)}
    markers |= {"job_id": without["id"], REMOVED: _same(True, FLAG, without)}
    return pa.concat_tables([found, _table(ERRORS, without, markers)])


def audit_rows(result: PartitionResult, tenant: str, run_id: str) -> pa.Table:
    """``load_audit``, a row for each listing that was read."""
    part, jobs = result.partition, result.jobs
    open_ids = set(jobs.filter(pc.is_null(jobs["finish_time"]))["id"].to_pylist())
    rows = [
        {
            "run_id": run_id,
            "tenant": tenant,
            "location": part.location,
            "object_type": part.object_type.name if part.object_type else None,
            "job_type": listing.job_type.name if listing.job_type else None,
            "window_start": part.window.start,
            "window_end": part.window.end,
            "endpoint": listing.endpoint,
            "page_size": listing.page_size,
            "requests": listing.requests,
            "retries": listing.retries,
            "reported_total": listing.reported_total,
            "total_basis": listing.total_basis,
            "distinct_jobs": len(listing.ids),
            "in_progress": len(open_ids & listing.ids),
            "complete": listing.complete,
            "started_at": listing.started_at,
            "elapsed_seconds": listing.elapsed_seconds,
        }
        for listing in result.listings
    ]
    return pa.Table.from_pylist(rows, schema=AUDIT)


def _same(value: object, type: pa.DataType, rows: pa.Table | pa.Array) -> pa.Array:
    """One value for each row."""
    return pa.repeat(pa.scalar(value, type), len(rows))


def _table(schema: pa.Schema, rows: pa.Table, more: dict[str, Any]) -> pa.Table:
    """The columns of ``schema``, from ``more`` or else from ``rows``."""
    columns = [more[name] if name in more else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)
