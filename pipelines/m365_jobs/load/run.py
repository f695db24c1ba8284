"""Run one load from start to end: pending packages, new and changed jobs, and the row in ``load_runs``."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dlt
import pyarrow as pa
from avepoint_m365 import Progress, avepoint_m365
from avepoint_m365.extract.chunk_result import ChunkResult
from dlt.destinations.exceptions import DatabaseException
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs.config.calendar import tenant_calendar
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.protection import protection as configured_protection
from m365_jobs.config.tenants import Tenant, complete_settings, resolve_all
from m365_jobs.errors.explain import explain
from m365_jobs.load import data_checks, first_rows, pending
from m365_jobs.load.companions import CompanionLoad
from m365_jobs.load.failed_runs import write_unsent_runs
from m365_jobs.load.known_jobs import WarehouseLookup
from m365_jobs.load.memory import return_freed_memory
from m365_jobs.load.options import LoadOptions
from m365_jobs.load.prefetch import Prefetched, prefetch
from m365_jobs.load.run_log import LoadRun, UnsentRuns, runs_resource
from m365_jobs.load.summary import Summary
from m365_jobs.load.unchanged import TenantLogRows, log_rows, write_log_rows
from m365_jobs.locks.base import Lease, TenantLockedError, lease_of
from m365_jobs.locks.pipeline_folder import LOCK_WAIT, folder_lock, open_duckdb_file, process_lock, write_lock
from m365_jobs.schema import SCHEMA
from m365_jobs.terminal import Notify
from m365_jobs.text import format_count, format_time
from m365_jobs.warehouse import contract
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.target import address_of, fingerprint

__all__ = ["LoadOptions", "load"]

CHUNK_JOBS = 100_000
"""The most jobs of a chunk, which bounds memory and the work that a crash loses."""


def load(options: LoadOptions, progress: Progress, notify: Notify) -> Summary:
    """Load new and changed jobs, or the range of a backfill, and record the run in ``load_runs``.

    Raises:
        TenantLockedError: if another worker loads the tenant.
        Exception: any other failure, after it was recorded; see ``errors.explain``.
    """
    return_freed_memory()
    tenant = str(options.source.get("tenant") or (options.tenant or Tenant(configured_tenant())).name)
    run_id, started_at = uuid4().hex, datetime.now(UTC)
    tenant_calendar(tenant)  # A wrong time zone is reported before anything is read.
    protection = configured_protection()
    with progress.stats.cancelled_on_failure(), ExitStack() as stack:
        stack.enter_context(folder_lock(warehouse.pipeline_name(tenant), options.min_age, notify))
        pipeline = warehouse.open_pipeline(tenant, options.destination, options.dataset, options.file)
        lease = stack.enter_context(lease_of(pipeline, tenant, run_id, notify))
        unsent = UnsentRuns(pipeline.pipelines_dir, pipeline.pipeline_name, fingerprint(pipeline))
        writing = stack.enter_context(ExitStack())
        summary = Summary(run_id, tenant, address_of(pipeline), pipeline.dataset_name)
        loading = _Loading(options, progress, notify, pipeline, lease, unsent, writing, started_at, summary)
        try:
            waiting = loading.load()
            if waiting is None or options.log_buffer is None:
                contract.finish_load(pipeline, tenant, notify, protection, summary.wrote)
            else:
                options.log_buffer.add(replace(waiting, locks=stack.pop_all()))
            return summary
        except TenantLockedError:
            raise
        except BaseException as error:
            writing.close()
            loading.record(error)
            raise
        finally:
            warehouse.clear_config_traces()


@dataclass
class _Loading:
    """Run the steps of one load."""

    options: LoadOptions
    progress: Progress
    notify: Notify
    pipeline: dlt.Pipeline
    lease: Lease
    unsent: UnsentRuns
    writing: ExitStack
    """Holds the write lock, or a DuckDB file open, except while requests are sent; the caller closes it."""
    started_at: datetime
    summary: Summary
    lookup: WarehouseLookup = field(init=False)
    companions: CompanionLoad = field(init=False)
    appends: bool = field(default=False, init=False)

    def load(self) -> TenantLogRows | None:
        """Load chunk by chunk; return log rows that the caller has to collect, if there is nothing new."""
        began = time.monotonic()
        if (settings := self._complete_settings()) is None:
            # A wrong setting is reported before the warehouse is touched; otherwise ``prefetch`` checks them.
            self._source()
        self.lease.acquire(self.options.min_age, LOCK_WAIT, self.notify)
        prefetched = None
        if settings and not self.unsent.rows():
            tenant = self.summary.tenant
            prefetched = prefetch(self.pipeline, tenant, settings, self.progress, self.notify, self.writing)
        try:
            if prefetched and prefetched.has_nothing_new:
                return self._record_nothing_new(prefetched.result)
            self._load_with_dlt(prefetched)
            return None
        finally:
            self.summary.requests = self.progress.stats.attempts
            self.summary.seconds = time.monotonic() - began

    def _load_with_dlt(self, prefetched: Prefetched | None) -> None:
        while not self._load_chunks(prefetched):
            self.notify("Another load has written the first jobs of the tenant meanwhile; reading again.")
            self.writing.close()
            self.pipeline.drop()
            self.progress.jobs, self.appends = 0, False
            self.progress.begin_chunk()
            prefetched = None

    def _load_chunks(self, prefetched: Prefetched | None) -> bool:
        """Load all chunks; return false if another load has written jobs of the tenant in the meantime."""
        if not pending.begin_new_file(self.pipeline):
            self._finish_pending()
        source = self._source()
        self._hand_over(prefetched)
        loaded = self._load_chunk(source, self._companions())
        while loaded and self.progress.chunk_end is not None:
            pending.mark(self.pipeline)
            self.writing.close()
            until, jobs = format_time(self.progress.chunk_end), format_count(self.progress.jobs, "job")
            self.notify(f"Loaded up to {until}, {jobs} so far. Continuing.")
            # The garbage collector starts by the number of objects, not by their size: all rows of the chunk.
            del source
            self.progress.begin_chunk()
            gc.collect()
            source = self._source()
            loaded = self._load_chunk(source)
        return loaded

    def _source(self) -> Any:
        """Return the source of the next chunk, with a lookup of its own."""
        self.lookup = WarehouseLookup(self.pipeline, self.summary.tenant, self.notify)
        settings = {**self.options.tenant_settings, **self._load_settings()}
        return avepoint_m365(**settings, progress=self.progress, lookup=self.lookup)

    def _load_settings(self) -> dict[str, Any]:
        """Return the settings of the source that the load or its caller sets."""
        return {
            **self.options.source,
            "since": self.options.since,
            "until": self.options.until,
            "chunk_jobs": max(CHUNK_JOBS // pending.chunk_divisor(self.pipeline), 1),
            "run_id": self.summary.run_id,
            "verify_since": self.options.verify_since,
        }

    def _finish_pending(self) -> None:
        with write_lock(self.pipeline, self.lease, self.notify):
            if pending_since := pending.finish_pending(self.pipeline, self.summary.tenant, self.notify):
                self._check_data(pending_since)
            # Each opening of a DuckDB file lasts 12 ms. Once the file is closed, another program may open it.
            self.writing.enter_context(open_duckdb_file(self.pipeline, self.notify))

    def _companions(self) -> list[DltResource]:
        """Return the companions that are due; a backfill requests none, but creates their tables, which marts need."""
        settings = {**self.options.tenant_settings, **self.options.source}
        if self.options.since is not None or self.options.verify_since is not None:
            settings["include"] = "none"
        self.companions = CompanionLoad(self.pipeline, self.summary.tenant, settings, self.progress.stats)
        return self.companions.resources()

    def _load_chunk(self, source: Any, companions: Sequence[DltResource] = ()) -> bool:
        """Load one chunk; return false, and load nothing, if another load has written some of its jobs meanwhile."""
        self.summary.wrote = True
        since = datetime.now(UTC)
        source.resources.add(*companions, runs_resource(self._run_rows()), data_checks.failures_resource([]))
        contract.prepare(source, self.pipeline)
        self.appends = first_rows.begin(self.pipeline, self.lookup, appended=self.appends)
        self.progress.appends = self.appends
        if self.progress.prefetched is None:
            self.writing.close()
        self.pipeline.extract(source, loader_file_format=contract.file_format(self.pipeline))
        if not self.progress.appends:
            first_rows.end(self.pipeline)
        with process_lock:
            # It comes before the write lock, whose kind depends on whether tables are to be created.
            self.pipeline.normalize()
        self.writing.enter_context(write_lock(self.pipeline, self.lease, self.notify))
        assert self.progress.result is not None
        ids = self.progress.result.jobs["id"]
        if first_rows.is_overtaken(self.pipeline, self.summary.tenant, ids):
            return False
        self.summary.add(self.progress)
        first_rows.load_package(self.pipeline, self.summary.tenant, ids)
        self.unsent.clear()
        self._check_data(since, ids)
        return True

    def _complete_settings(self) -> dict[str, Any] | None:
        tenant = self.options.tenant or Tenant(self.summary.tenant)
        if not tenant.is_resolved:
            (tenant,) = resolve_all([tenant])
        return complete_settings(tenant, self._load_settings())

    def _hand_over(self, prefetched: Prefetched | None) -> None:
        """Give the source the prefetched chunk; drop it if the state has changed since."""
        if prefetched is None:
            return
        if prefetched.continues(self.pipeline.state.get("sources", {}).get(SCHEMA, {})):
            self.progress.prefetched = prefetched.result
        else:
            self.progress.jobs = 0
            self.progress.begin_chunk()

    def _record_nothing_new(self, result: ChunkResult) -> TenantLogRows | None:
        """Write the log rows of a load without a dlt run, or return them to be written with those of other tenants."""
        self.summary.add(self.progress)
        rows = log_rows(result, self._run_row(), self.summary)
        waiting = TenantLogRows(self.pipeline, self.lease, rows, self.notify, self._record_log_failure)
        if self.options.log_buffer is None:
            self.writing.enter_context(open_duckdb_file(self.pipeline, self.notify))
            write_log_rows([waiting])
            return None
        self.writing.close()
        return waiting

    def _record_log_failure(self, error: BaseException) -> None:
        """Record that the log rows could not be written; raise the error if they were not collected."""
        if self.options.log_buffer is None:
            raise error
        self.record(error)
        self.options.log_buffer.on_failure(self.summary.tenant, error)

    def _run_rows(self) -> Iterator[LoadRun | None]:
        """Yield the unsent rows of failed runs and, in the last chunk, the row of this run once all is read."""
        yield from self.unsent.rows()
        while self.progress.result is None or not self.companions.finished:
            yield None
        if self.progress.chunk_end is None:
            self.summary.note_incomplete(self.progress.result)
            self.summary.add_incomplete(self.companions.incomplete())
            for note in self.companions.notes():
                self.notify(note)
            yield self._run_row()

    def _run_row(self) -> LoadRun:
        return LoadRun(
            run_id=self.summary.run_id,
            tenant=self.summary.tenant,
            started_at=self.started_at,
            ended_at=datetime.now(UTC),
            status=self.summary.status,
            error_kind=None,
            detail=self.summary.detail,
            requests=self.progress.stats.attempts,
            jobs=self.progress.jobs,
        )

    def _check_data(self, since: datetime, read_ids: pa.ChunkedArray | None = None) -> None:
        """Check the rows that were fetched since a time (UTC), and store the failures; a refused query fails no load.

        ``read_ids`` are the ids of the chunk's jobs; None for the pending packages of an earlier load.
        """
        try:
            failures = data_checks.check_jobs(self.pipeline, self.summary.tenant, self.summary.run_id, since, read_ids)
            # The companions are not read yet when pending packages are checked.
            failures += self.summary.source_failures(() if read_ids is None else self.companions.findings())
            if failures:
                # The rows are in the warehouse now, and so are their cursors.
                pending.mark(self.pipeline)
                data_checks.store_failures(self.pipeline, failures)
        except (DatabaseException, PipelineStepFailed) as error:
            self.notify(f"Loaded, but not checked. {explain(error).text}")
        else:
            self.summary.findings += map(str, failures)

    def record(self, error: BaseException) -> None:
        """Store the row of a failed run; write it to the warehouse unless that is what failed."""
        failure = explain(error)
        self.unsent.add(self._run_row()._replace(status="failed", error_kind=failure.kind, detail=failure.text))
        if failure.kind not in ("destination", "config"):
            write_unsent_runs(self.unsent, self.pipeline, self.lease, self.notify)
