"""Rows of the warehouse tables, built from the jobs that a load read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.extract.listing import PartitionResult
from avepoint_m365.parse.values import COUNT, ERROR_FIELDS, FLAG, TEXT, TIME
from avepoint_m365.schema import BACKUP_DETAILS, JOB_ERRORS, LOAD_AUDIT, REMOVED


def job_rows(result: PartitionResult, tenant: str, fetched_at: datetime, schema: pa.Schema) -> pa.Table:
    """Return rows of ``jobs``: the API's values of each job and those that only the request knows."""
    jobs, partition = result.jobs, result.partition
    types = {job_id: job_type.name for job_id, job_type in result.job_types.items()}
    known: dict[str, Any] = {
        "tenant": _same(tenant, TEXT, jobs),
        "location": _same(partition.location, TEXT, jobs),
        "object_type": _same(_object_type(result), TEXT, jobs),
        "job_type": pa.array([types.get(job_id) for job_id in jobs["id"].to_pylist()], TEXT),
        "first_seen_at": _same(fetched_at, TIME, jobs),
        "fetched_at": _same(fetched_at, TIME, jobs),
    }
    return _table(schema, jobs, known)


def _object_type(result: PartitionResult) -> str | None:
    asked = result.partition.object_type
    return asked.name if asked and result.object_type_is_told else None


def detail_rows(result: PartitionResult, tenant: str) -> pa.Table:
    """Return rows of ``jobs__backup_details``, one for each job."""
    jobs = result.jobs
    return _table(BACKUP_DETAILS.arrow, jobs, {"tenant": _same(tenant, TEXT, jobs), "job_id": jobs["id"]})


def error_rows(result: PartitionResult, tenant: str) -> pa.Table:
    """Return rows of ``jobs__job_errors``; a job without errors gives a marker that removes its earlier ones."""
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
    listed = _table(
        JOB_ERRORS.arrow, pa.table(rows), {"tenant": _same(tenant, TEXT, fields), REMOVED: _same(None, FLAG, fields)}
    )
    without = jobs.filter(pc.equal(pc.list_value_length(errors), 0))
    markers: dict[str, Any] = {name: _same(None, type, without) for name, type in ERROR_FIELDS.items()}
    markers |= {"tenant": _same(tenant, TEXT, without), "error_index": _same(-1, COUNT, without)}
    markers |= {"job_id": without["id"], REMOVED: _same(True, FLAG, without)}
    return pa.concat_tables([listed, _table(JOB_ERRORS.arrow, without, markers)])


def audit_rows(result: PartitionResult, tenant: str, run_id: str) -> pa.Table:
    """Return rows of ``load_audit``, one for each listing."""
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
            "total_scope": listing.total_scope,
            "distinct_jobs": len(listing.ids),
            "in_progress": len(open_ids & listing.ids),
            "complete": listing.complete,
            "error_kind": None,
            "detail": None,
            "started_at": listing.started_at,
            "elapsed_seconds": listing.elapsed_seconds,
        }
        for listing in result.listings
    ]
    return pa.Table.from_pylist(rows, schema=LOAD_AUDIT.arrow)


def _same(value: object, type: pa.DataType, rows: pa.Table | pa.Array) -> pa.Array:
    """One value for each row."""
    return pa.repeat(pa.scalar(value, type), len(rows))


def _table(schema: pa.Schema, rows: pa.Table, more: dict[str, Any]) -> pa.Table:
    """The columns of ``schema``, from ``more`` or else from ``rows``."""
    columns = [more[name] if name in more else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)
