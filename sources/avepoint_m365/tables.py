"""The tables of the warehouse: names, columns, types and keys, as Arrow schemas and dlt hints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from avepoint_m365.partition import PartitionResult
from avepoint_m365.records import JobRecord

TIME = pa.timestamp("us", tz="UTC")
_TEXT, _COUNT, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

CURSOR = "finish_time"
KNOWN_FINISH = "known_finish_time"
"""Carries the finish time past dlt's incremental, which drops rows by the cursor column."""
REMOVED = "_dlt_removed"
"""Marks a row of ``jobs__job_errors`` that only deletes what the job had before; never stays in the table."""


def _key(*names: str) -> list[pa.Field]:
    return [pa.field(name, _TEXT, nullable=False) for name in names]


JOBS = pa.schema(
    [
        *_key("tenant", "id"),
        *((name, _TEXT) for name in ("location", "object_type", "job_type", "state")),
        ("start_time", TIME),
        (CURSOR, TIME),
        ("duration_hours", _REAL),
        ("fetched_at", TIME),
    ]
)
DETAILS = pa.schema(
    [
        *_key("tenant", "job_id"),
        *((name, _COUNT) for name in ("total_number", "failed_number", "successful_number", "skipped_number")),
    ]
)
ERRORS = pa.schema(
    [
        *_key("tenant", "job_id"),
        pa.field("error_index", _COUNT, nullable=False),
        ("is_error_code", _FLAG),
        ("value", _TEXT),
        ("url", _TEXT),
        ("number", _COUNT),
        (REMOVED, _FLAG),
    ]
)
AUDIT = pa.schema(
    [
        *((name, _TEXT) for name in ("run_id", "tenant", "location", "object_type", "job_type")),
        ("window_start", TIME),
        ("window_end", TIME),
        ("endpoint", _TEXT),
        *((name, _COUNT) for name in ("page_size", "requests", "retries", "reported_total")),
        ("total_basis", _TEXT),
        ("distinct_jobs", _COUNT),
        ("in_progress", _COUNT),
        ("complete", _FLAG),
        ("started_at", TIME),
        ("elapsed_seconds", _REAL),
    ]
)


def job_rows(
    result: PartitionResult, records: Iterable[JobRecord], tenant: str, fetched_at: datetime
) -> list[dict[str, Any]]:
    """The rows of ``jobs``: what the API says of each job and what only the request knows."""
    partition, types = result.partition, result.job_types
    known = {
        "tenant": tenant,
        "location": partition.location,
        "object_type": partition.object_type.name if partition.object_type else None,
        "fetched_at": fetched_at,
    }
    return [{**one.job, **known, "job_type": types[one.id].name if one.id in types else None} for one in records]


def detail_rows(records: Iterable[JobRecord], tenant: str) -> list[dict[str, Any]]:
    """The rows of ``jobs__backup_details``, one for each job."""
    return [{"tenant": tenant, "job_id": one.id, **one.details} for one in records]


def error_rows(records: Iterable[JobRecord], tenant: str) -> list[dict[str, Any]]:
    """The rows of ``jobs__job_errors``; for a job without errors a marker that removes those it had."""
    rows: list[dict[str, Any]] = []
    for one in records:
        key = {"tenant": tenant, "job_id": one.id}
        rows += [{**key, **error} for error in one.errors] or [{**key, "error_index": -1, REMOVED: True}]
    return rows


def audit_rows(result: PartitionResult, records: Iterable[JobRecord], tenant: str, run_id: str) -> list[dict[str, Any]]:
    """The rows of ``load_audit``, one for each listing that was read."""
    part = result.partition
    open_ids = {one.id for one in records if one.job["finish_time"] is None}
    return [
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
            "distinct_jobs": len(listing.jobs),
            "in_progress": sum(job_id in open_ids for job_id in listing.jobs),
            "complete": listing.complete,
            "started_at": listing.started_at,
            "elapsed_seconds": listing.elapsed_seconds,
        }
        for listing in result.listings
    ]


def to_arrow(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table of exactly ``schema``."""
    return pa.Table.from_pylist(list(rows), schema=schema)
