"""Record loads with nothing new without a dlt run; the log rows of several tenants are written together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import dlt
import pyarrow as pa
from avepoint_m365 import rows as source_rows
from avepoint_m365.extract.chunk_result import ChunkResult

from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.load.data_checks import CheckFailure, failures_resource
from m365_jobs.load.run_log import LoadRun, runs_resource
from m365_jobs.load.summary import Summary
from m365_jobs.locks.base import Lease
from m365_jobs.locks.pipeline_folder import append_lock, write_lock
from m365_jobs.schema import table
from m365_jobs.terminal import Notify
from m365_jobs.warehouse import contract
from m365_jobs.warehouse.append import append_rows

FLUSH_TENANTS = 50
"""The most tenants whose rows wait: a crash loses the proof of these loads."""

FLUSH_SECONDS = 10.0
"""Age in seconds at which waiting rows are written once another tenant adds its own."""

ARROW_TABLES = ("load_audit", "reconciliations")
"""Tables that a load writes as Arrow tables; it writes the other log tables as objects."""

Rows = dict[str, list[dict[str, Any]]]
"""Rows by the name of their table."""


@dataclass(frozen=True)
class TenantLogRows:
    """Hold the log rows of a tenant, and the locks that exclude other loads of it until they are written.

    Attributes:
        pipeline: The tenant's pipeline.
        lease: The tenant's lease, acquired.
        rows: The rows to write.
        notify: Receives lines about the tenant.
        on_failure: Called if the rows cannot be written.
        locks: Releases the lease and the pipeline's folder.
    """

    pipeline: dlt.Pipeline
    lease: Lease
    rows: Rows
    notify: Notify
    on_failure: Callable[[BaseException], None] = lambda _: None
    locks: ExitStack = field(default_factory=ExitStack)


def log_rows(result: ChunkResult, run: LoadRun, summary: Summary) -> Rows:
    """Return the rows that record a load with nothing new."""
    failures = summary.source_failures()
    summary.findings += map(str, failures)
    return {
        "load_audit": source_rows.audit_rows(result, run.tenant, run.run_id).to_pylist(),
        "reconciliations": source_rows.reconciliation_rows(result, run.tenant, run.run_id).to_pylist(),
        "load_check_failures": [failure._asdict() for failure in failures],
        "load_runs": [run._asdict()],
    }


def write_log_rows(waiting: Sequence[TenantLogRows]) -> None:
    """Write the log rows of several tenants together; rows of a tenant that lost its lease are not written.

    The worker that holds the lease then records its own load.
    """
    pipeline, notify = waiting[0].pipeline, waiting[0].notify
    with append_lock(pipeline, notify) as client:
        leased = [tenant for tenant in waiting if tenant.lease.may_append(client)]
        for tenant in waiting:
            if tenant not in leased:
                tenant.on_failure(WarehouseError("Lost the lease while log rows waited; nothing was written."))
        written = not leased or append_rows(pipeline, _combined(leased))
    if not written:
        # A table or a column is missing, or the destination supports no plain inserts.
        for tenant in leased:
            with write_lock(tenant.pipeline, tenant.lease, tenant.notify):
                _write_with_dlt(tenant.pipeline, tenant.rows)


def _combined(waiting: Sequence[TenantLogRows]) -> Rows:
    rows: Rows = {}
    for tenant in waiting:
        for name, new in tenant.rows.items():
            rows.setdefault(name, []).extend(new)
    return rows


def _write_with_dlt(pipeline: dlt.Pipeline, rows: Rows) -> None:
    pipeline.sync_destination()
    arrow_tables = [
        dlt.mark.with_hints(
            pa.Table.from_pylist(rows[name], schema=table(name).arrow),
            table(name).resource_hints,
            create_table_variant=True,
        )
        for name in ARROW_TABLES
        if rows.get(name)
    ]
    # The other tables get objects, as in any load: dlt adds columns to them that Arrow tables lack.
    contract.write_rows(
        pipeline,
        dlt.resource(arrow_tables, name="log_rows"),
        runs_resource(LoadRun(**row) for row in rows.get("load_runs", [])),
        failures_resource([CheckFailure(**row) for row in rows.get("load_check_failures", [])]),
        loader_file_format=contract.file_format(pipeline),
    )


@dataclass
class LogRowBuffer:
    """Collect the log rows of tenants with nothing new, and write them together. Safe to use from several threads."""

    on_failure: Callable[[str, BaseException], None]
    """Called with the tenant and the error after the failure of a tenant's rows was recorded."""
    _waiting: list[TenantLogRows] = field(default_factory=list)
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, waiting: TenantLogRows) -> None:
        """Add the rows of a tenant; write all if they are from enough tenants, or old enough."""
        with self._lock:
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.append(waiting)
            if len(self._waiting) >= FLUSH_TENANTS or time.monotonic() - self._since > FLUSH_SECONDS:
                self._flush()

    def flush(self) -> None:
        """Write all rows; if that fails, ``on_failure`` of each tenant is called."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        with ExitStack() as locks:
            for tenant in waiting:
                locks.push(tenant.locks)
            try:
                write_log_rows(waiting)
            except Exception as error:
                for tenant in waiting:
                    tenant.on_failure(error)
