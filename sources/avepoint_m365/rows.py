"""Build the rows of the warehouse tables from the result of a chunk."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.constants import LABELS
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.labels import Labels
from avepoint_m365.parse.frame import COUNT, ERROR_FIELDS, FLAG, TEXT, TIME
from avepoint_m365.schema import (
    BACKUP_DETAILS,
    JOB_CHANGES,
    JOB_ERRORS,
    LOAD_AUDIT,
    RECONCILIATIONS,
    REMOVED,
    STATE_WORDS,
)

MAX_DETAIL_LENGTH = 2000
"""The most characters of a ``detail`` column; a longer text is cut."""


def job_rows(result: ChunkResult, tenant: str, fetched_at: datetime, schema: pa.Schema) -> pa.Table:
    """Return rows of ``jobs``: the API's values of each job, and its labels and times (UTC)."""
    jobs = result.jobs
    known: dict[str, Any] = label_columns(jobs, result.labels) | {
        "tenant": _constant(tenant, TEXT, jobs),
        "first_seen_at": _first_seen(result, fetched_at),
        "fetched_at": _constant(fetched_at, TIME, jobs),
    }
    return _table(schema, jobs, known)


def label_columns(jobs: pa.Table, labels: Labels) -> dict[str, pa.Array]:
    """Return the columns location, object_type and job_type of jobs."""
    ids = jobs["id"].to_pylist()
    return {name: pa.array(list(map(labels[name].get, ids)), TEXT) for name in LABELS}


def _first_seen(result: ChunkResult, fetched_at: datetime) -> pa.Array:
    if not result.first_seen:
        return _constant(fetched_at, TIME, result.jobs)
    ids = result.jobs["id"].to_pylist()
    return pa.array([result.first_seen.get(job_id) or fetched_at for job_id in ids], TIME)


def detail_rows(jobs: pa.Table, tenant: str) -> pa.Table:
    """Return rows of ``jobs__backup_details``, one for each job."""
    return _table(BACKUP_DETAILS.arrow, jobs, {"tenant": _constant(tenant, TEXT, jobs), "job_id": jobs["id"]})


def error_rows(jobs: pa.Table, tenant: str, removing: bool = True) -> pa.Table:
    """Return rows of ``jobs__job_errors``.

    If ``removing``, a job without errors has a marker that deletes its stored errors. Each batch is converted by
    itself: errors may fill 100 MB, and to combine them would copy all.
    """
    empty = JOB_ERRORS.arrow.empty_table()
    return pa.concat_tables([empty, *(_error_rows_of(batch, tenant, removing) for batch in jobs.to_batches())])


def _error_rows_of(jobs: pa.RecordBatch, tenant: str, removing: bool) -> pa.Table:
    errors = jobs["errors"]
    parents = pc.list_parent_indices(errors)
    fields = errors.flatten()
    # The index within the job is the index among all errors less that of the job's first error.
    first = pc.take(errors.offsets, parents)
    index = pc.subtract(
        pa.array(range(len(parents)), COUNT), pc.subtract(first.cast(COUNT), errors.offsets[0].cast(COUNT))
    )
    rows = {name: fields.field(name) for name in ERROR_FIELDS}
    rows |= {"job_id": pc.take(jobs["id"], parents), "error_index": index}
    listed = _table(
        JOB_ERRORS.arrow,
        pa.table(rows),
        {"tenant": _constant(tenant, TEXT, fields), REMOVED: _constant(None, FLAG, fields)},
    )
    if not removing:
        return listed
    without = jobs.filter(pc.equal(pc.list_value_length(errors), 0))
    markers: dict[str, Any] = {name: _constant(None, kind, without) for name, kind in ERROR_FIELDS.items()}
    markers |= {"tenant": _constant(tenant, TEXT, without), "error_index": _constant(-1, COUNT, without)}
    markers |= {"job_id": without["id"], REMOVED: _constant(True, FLAG, without)}
    return pa.concat_tables([listed, _table(JOB_ERRORS.arrow, without, markers)])


def audit_rows(result: ChunkResult, tenant: str, run_id: str) -> pa.Table:
    """Return rows of ``load_audit``, one for each listing."""
    rows = []
    for listing in result.listings:
        selection = listing.selection
        rows.append(
            {
                "run_id": run_id,
                "tenant": tenant,
                "location": selection.location,
                "object_type": selection.object_type.name if selection.object_type else None,
                "job_type": selection.job_type.name if selection.job_type else None,
                "window_start": selection.window.start,
                "window_end": selection.window.end,
                "endpoint": listing.endpoint or None,
                "page_size": listing.page_size,
                "requests": listing.requests,
                "retries": listing.retries,
                "reported_total": listing.reported_total,
                "total_scope": listing.total_scope,
                "distinct_jobs": len(listing.ids),
                "in_progress": len(result.in_progress & listing.ids),
                "complete": listing.complete,
                "error_kind": listing.error_kind,
                "detail": listing.detail and listing.detail[:MAX_DETAIL_LENGTH],
                "started_at": listing.started_at,
                "elapsed_seconds": listing.elapsed_seconds,
            }
        )
    return pa.Table.from_pylist(rows, schema=LOAD_AUDIT.arrow)


def change_rows(result: ChunkResult, tenant: str, changed_at: datetime) -> pa.Table:
    """Return rows of ``job_changes``."""
    rows = [
        {
            "tenant": tenant,
            "id": change.id,
            "changed_at": changed_at,
            "column": change.column,
            "old": change.old,
            "new": change.new,
        }
        for change in result.changes
    ]
    return pa.Table.from_pylist(rows, schema=JOB_CHANGES.arrow)


def state_word_rows(result: ChunkResult, learned_at: datetime) -> pa.Table:
    """Return rows of ``state_words``."""
    rows = [{"word": word, "state": code, "learned_at": learned_at} for word, code in result.state_words.items()]
    return pa.Table.from_pylist(rows, schema=STATE_WORDS.arrow)


def reconciliation_rows(result: ChunkResult, tenant: str, run_id: str) -> pa.Table:
    """Return rows of ``reconciliations``."""
    rows = [
        {
            "run_id": run_id,
            "tenant": tenant,
            "location": row.location,
            "kind": row.kind,
            "period_start": row.period[0],
            "period_end": row.period[1],
            "api_total": row.api_total,
            "warehouse_jobs": row.warehouse_jobs,
            "proof": row.proof,
            "detail": row.detail,
            "checked_at": row.checked_at,
        }
        for row in result.reconciliations
    ]
    return pa.Table.from_pylist(rows, schema=RECONCILIATIONS.arrow)


def _constant(value: object, kind: pa.DataType, rows: pa.Table | pa.Array) -> pa.Array:
    """Return an array with one value for each row."""
    return pa.repeat(pa.scalar(value, kind), len(rows))


def _table(schema: pa.Schema, rows: pa.Table, overrides: dict[str, Any]) -> pa.Table:
    """Return the columns of ``schema``, from ``overrides`` or else from ``rows``."""
    columns = [overrides[name] if name in overrides else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)
