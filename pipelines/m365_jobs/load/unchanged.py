"""Record loads with nothing new, without a dlt run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from avepoint_m365 import rows as source_rows
from avepoint_m365.extract.options import ChunkResult

from m365_jobs.load.run_log import LoadRun
from m365_jobs.load.summary import Summary
from m365_jobs.schema import table
from m365_jobs.warehouse.append import append_rows
from m365_jobs.warehouse.contract import SCHEMA

FLUSH_TENANTS = 50
"""Tenants whose rows are written together at most: a crash loses no proof of more."""

FLUSH_SECONDS = 10.0
"""Rows are written after this long at the latest, when another tenant adds its own."""

Rows = dict[str, list[dict[str, Any]]]
"""Rows by the name of their table."""


def log_rows(outcome: ChunkResult, run: LoadRun, summary: Summary) -> Rows:
    """Return the rows that record a load with nothing new."""
    failures = summary.lasting_failures(datetime.now(UTC))
    summary.findings += map(str, failures)
    return {
        "load_audit": source_rows.audit_rows(outcome, run.tenant, run.run_id).to_pylist(),
        "reconciliations": source_rows.reconciliation_rows(outcome, run.tenant, run.run_id).to_pylist(),
        "load_check_failures": [asdict(failure) for failure in failures],
        "load_runs": [asdict(run)],
    }


def write_now(pipeline: dlt.Pipeline, rows: Rows) -> None:
    """Write the rows of one or more loads, with a dlt run where there is no faster way. The caller holds the lock."""
    if append_rows(pipeline, rows):
        return
    resources = [
        dlt.mark.with_hints(
            pa.Table.from_pylist(new, schema=table(name).arrow), table(name).resource_hints, create_table_variant=True
        )
        for name, new in rows.items()
        if new
    ]
    schema = pipeline.schemas[SCHEMA] if SCHEMA in pipeline.schema_names else dlt.Schema(SCHEMA)
    pipeline.run(dlt.resource(resources, name="log_rows"), schema=schema)


@dataclass
class LogRows:
    """Collect rows of tenants with nothing new, to write them together. Safe to use from several threads.

    ``write`` writes rows through one of the pipelines of a warehouse, and holds its write lock meanwhile.
    """

    write: Callable[[dlt.Pipeline, Rows], None]
    _rows: Rows = field(default_factory=dict)
    _pipeline: dlt.Pipeline | None = None
    _tenants: int = 0
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, pipeline: dlt.Pipeline, rows: Rows) -> None:
        """Keep the rows of a tenant, and write all if enough wait."""
        with self._lock:
            self._since = self._since if self._tenants else time.monotonic()
            self._tenants += 1
            self._pipeline = pipeline
            for name, new in rows.items():
                self._rows.setdefault(name, []).extend(new)
            if self._tenants >= FLUSH_TENANTS or time.monotonic() - self._since > FLUSH_SECONDS:
                self._flush()

    def flush(self) -> None:
        """Write all rows that wait."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._pipeline is not None and self._tenants:
            self.write(self._pipeline, self._rows)
        self._rows, self._tenants = {}, 0
