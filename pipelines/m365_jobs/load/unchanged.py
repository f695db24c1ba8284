"""Record loads with nothing new, without a dlt run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from avepoint_m365 import rows as source_rows
from avepoint_m365.extract.options import ChunkResult

from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.load.data_checks import CheckFailure, failures_resource
from m365_jobs.load.run_log import LoadRun, runs_resource
from m365_jobs.load.summary import Summary
from m365_jobs.locks.base import Lease, Notify
from m365_jobs.locks.pipeline_folder import appending_turn, write_lock
from m365_jobs.schema import table
from m365_jobs.warehouse import contract
from m365_jobs.warehouse.append import append_rows

FLUSH_TENANTS = 50
"""Tenants whose rows are written together at most: a crash loses no proof of more."""

FLUSH_SECONDS = 10.0
"""Rows are written after this long at the latest, when another tenant adds its own."""

OF_ARROW = ("load_audit", "reconciliations")
"""Tables that a load writes as Arrow tables; it writes the other log tables as objects."""

Rows = dict[str, list[dict[str, Any]]]
"""Rows by the name of their table."""


@dataclass(frozen=True)
class Waiting:
    """Hold log rows of a tenant that wait to be written, with the locks that keep other loads of it out until then.

    Attributes:
        pipeline: The tenant's pipeline.
        lease: The tenant's lease, taken.
        rows: What is to be written.
        notify: Receives lines about the tenant.
        failed: Called if the rows cannot be written.
        locks: Gives the lease and the pipeline's folder back.
    """

    pipeline: dlt.Pipeline
    lease: Lease
    rows: Rows
    notify: Notify
    failed: Callable[[BaseException], None] = lambda _: None
    locks: ExitStack = field(default_factory=ExitStack)


def log_rows(result: ChunkResult, run: LoadRun, summary: Summary) -> Rows:
    """Return the rows that record a load with nothing new."""
    failures = summary.lasting_failures(datetime.now(UTC))
    summary.findings += map(str, failures)
    return {
        "load_audit": source_rows.audit_rows(result, run.tenant, run.run_id).to_pylist(),
        "reconciliations": source_rows.reconciliation_rows(result, run.tenant, run.run_id).to_pylist(),
        "load_check_failures": [asdict(failure) for failure in failures],
        "load_runs": [asdict(run)],
    }


def write(waiting: Sequence[Waiting]) -> None:
    """Write log rows together, those of each tenant only while its lease is held.

    A tenant whose lease was lost gets no rows: the worker that has it now records its own load.
    """
    pipeline, notify = waiting[0].pipeline, waiting[0].notify
    with appending_turn(pipeline, notify) as client:
        leased = [tenant for tenant in waiting if tenant.lease.may_append(client)]
        for tenant in waiting:
            if tenant not in leased:
                tenant.failed(WarehouseError("Lost the lease while log rows waited; nothing was written."))
        written = not leased or append_rows(pipeline, _together(leased))
    if not written:
        # A table or a column is missing, or the destination has no such way.
        for tenant in leased:
            with write_lock(tenant.pipeline, tenant.lease, tenant.notify):
                _write_with_dlt(tenant.pipeline, tenant.rows)


def _together(waiting: Sequence[Waiting]) -> Rows:
    rows: Rows = {}
    for tenant in waiting:
        for name, new in tenant.rows.items():
            rows.setdefault(name, []).extend(new)
    return rows


def _write_with_dlt(pipeline: dlt.Pipeline, rows: Rows) -> None:
    pipeline.sync_destination()
    in_arrow = [
        dlt.mark.with_hints(
            pa.Table.from_pylist(rows[name], schema=table(name).arrow),
            table(name).resource_hints,
            create_table_variant=True,
        )
        for name in OF_ARROW
        if rows.get(name)
    ]
    # The others as in any load: dlt gives a table of objects columns of its own, which rows of Arrow lack.
    contract.write_rows(
        pipeline,
        dlt.resource(in_arrow, name="log_rows"),
        runs_resource(LoadRun(**row) for row in rows.get("load_runs", [])),
        failures_resource([CheckFailure(**row) for row in rows.get("load_check_failures", [])]),
        loader_file_format=contract.file_format(pipeline),
    )


@dataclass
class LogRows:
    """Hold rows of tenants with nothing new that wait to be written together. Safe to use from several threads."""

    _waiting: list[Waiting] = field(default_factory=list)
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, waiting: Waiting) -> None:
        """Keep the rows of a tenant, and write all if enough wait."""
        with self._lock:
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.append(waiting)
            if len(self._waiting) >= FLUSH_TENANTS or time.monotonic() - self._since > FLUSH_SECONDS:
                self._flush()

    def flush(self) -> None:
        """Write all rows that wait. If that fails, each tenant is told."""
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
                write(waiting)
            except Exception as error:
                for tenant in waiting:
                    tenant.failed(error)
