"""One load from start to end: what was left over, what is new, and what to say of it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dlt
import pyarrow as pa
from avepoint_m365 import Progress, avepoint_m365
from dlt.destinations.exceptions import DatabaseException
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs import marts
from m365_jobs.config.tenants import Tenant
from m365_jobs.errors.explain import UsageError, explain
from m365_jobs.load import data_checks, pending
from m365_jobs.load.run_log import Backlog, Run, failed, resource
from m365_jobs.load.summary import Summary, compare, incomplete
from m365_jobs.locks.base import Busy, Lease, Say, lease_of
from m365_jobs.locks.pipeline_folder import LOCK_WAIT, folder_lock, threads, writing_turn
from m365_jobs.warehouse import contract as destinations
from m365_jobs.warehouse import pipeline as warehouse

SLICE_JOBS = 100_000
"""Jobs that one committed load of a long range holds at most, which bounds memory and what a crash costs."""


@dataclass
class Options:
    """What ``load`` is asked to do; times in UTC."""

    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    dataset: str | None = None
    file: Path | None = None
    """A DuckDB file that goes before any destination; the demo's."""
    tenant: Tenant | None = None
    """Whose settings go before those of the section above; the one that the configuration names where unset."""
    source: dict[str, Any] = field(default_factory=dict)
    """Settings of the source that go before all of these; the demo's."""
    min_age: timedelta | None = None
    """Has a load raise ``Busy`` where another is at the tenant, or ended less than this ago; without, it waits."""

    def __post_init__(self) -> None:
        if self.until is not None and self.since is None:
            raise UsageError("--until goes with --since: together they are the range of a backfill.")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(f"--since {self.since.isoformat()} must lie before --until {self.until.isoformat()}.")


def load(options: Options, progress: Progress, say: Say) -> Summary:
    """Loads what is new, or the range of a backfill, and records the run.

    Raises:
        Exception: whatever went wrong, after it was recorded; see ``errors.explain``.
    """
    # Arrow's own memory pool keeps what a slice no longer needs: 460 MB at most for 100,000 jobs instead of 380.
    pa.set_memory_pool(pa.system_memory_pool())
    named = options.tenant.name if options.tenant else warehouse.configured_tenant()
    tenant = str(options.source.get("tenant") or named)
    run_id, started_at = uuid4().hex, datetime.now(UTC)
    protection = marts.protection()
    with ExitStack() as stack:
        stack.enter_context(folder_lock(warehouse.pipeline_name(tenant), options.min_age, say))
        pipeline = warehouse.open_pipeline(tenant, options.destination, options.dataset, options.file)
        lease = stack.enter_context(lease_of(pipeline, tenant, run_id, say))
        backlog = Backlog(pipeline.pipelines_dir, pipeline.pipeline_name, warehouse.fingerprint(pipeline))
        writing = stack.enter_context(ExitStack())
        summary = Summary(run_id, tenant, warehouse.location(pipeline), pipeline.dataset_name)
        loading = _Loading(options, progress, say, pipeline, lease, backlog, writing, started_at, summary)
        try:
            loading.load()
            destinations.finish(pipeline, tenant, say, protection)
            return summary
        except Busy:
            raise
        except BaseException as error:
            writing.close()
            loading.record(error)
            raise


@dataclass
class _Loading:
    """One load under way."""

    options: Options
    progress: Progress
    say: Say
    pipeline: dlt.Pipeline
    lease: Lease
    backlog: Backlog
    writing: ExitStack
    """Keeps others from the warehouse from the moment that a slice is to be written, until the next is to be read."""
    started_at: datetime
    summary: Summary

    def load(self) -> None:
        """All of it, slice by slice, but for what makes reading fast; ``writing`` then still keeps others out."""
        began = time.monotonic()
        # Made once before anything else, so that a wrong setting is told before the warehouse is touched.
        source = self._source()
        self.lease.take(self.options.min_age, LOCK_WAIT, self.say)
        divisor = pending.chunk_divisor(self.pipeline)
        self._see_to_leftovers()
        if divisor != pending.chunk_divisor(self.pipeline):
            source = self._source()
        self._load_slice(source)
        while self.progress.cut_at is not None:
            pending.mark(self.pipeline)
            self.writing.close()
            until = f"{self.progress.cut_at:%Y-%m-%d %H:%M} UTC"
            self.say(f"Loaded up to {until}, {self.progress.jobs:,} jobs so far; going on.")
            # What was read of a slice is held in circles, which Python breaks up by their number, not by what they
            # hold.
            del source
            self.progress.results = []
            gc.collect()
            source = self._source()
            self._load_slice(source)
        self.summary.requests = self.progress.traffic.attempts
        self.summary.seconds = time.monotonic() - began

    def _source(self) -> Any:
        own = self.options.tenant.settings if self.options.tenant else {}
        return avepoint_m365(
            **{**own, **self.options.source},
            since=self.options.since,
            until=self.options.until,
            slice_jobs=max(SLICE_JOBS // pending.chunk_divisor(self.pipeline), 1),
            run_id=self.summary.run_id,
            progress=self.progress,
        )

    def _see_to_leftovers(self) -> None:
        with writing_turn(self.pipeline, self.lease, self.say):
            left_since = pending.finish(self.pipeline, self.say)
            pending.start_over_without_rows(self.pipeline, self.summary.tenant, self.say)
            if left_since:
                self._check(left_since)

    def _load_slice(self, source: Any) -> None:
        since = datetime.now(UTC)
        source.resources.add(resource(self._rows()), data_checks.resource([]))
        destinations.prepare(source, self.pipeline)
        self.pipeline.extract(source, loader_file_format=destinations.file_format(self.pipeline))
        with threads:
            # Before anything is locked: only then is it known whether tables have to be made.
            self.pipeline.normalize()
        # Kept open until all is done: another program may take a DuckDB file the moment that it is closed, and opening
        # and closing it takes longer than most of what is done in between.
        self.writing.enter_context(writing_turn(self.pipeline, self.lease, self.say))
        compare(self.summary, self.pipeline, self.progress)
        self.pipeline.load()
        self.backlog.clear()
        brought = [ids for one in self.progress.results for ids in one.jobs["id"].chunks]
        self._check(since, pa.chunked_array(brought, pa.string()))

    def _rows(self) -> Iterator[Run | None]:
        """Failed runs that wait, then, in the last slice, this run, once all partitions are read."""
        yield from self.backlog.rows()
        while not self.progress.results:
            yield None
        self.summary.incomplete += incomplete(self.progress)
        if self.progress.cut_at is None:
            yield Run(
                run_id=self.summary.run_id,
                tenant=self.summary.tenant,
                started_at=self.started_at,
                ended_at=datetime.now(UTC),
                status=self.summary.status,
                error_kind=None,
                detail="; ".join(self.summary.incomplete)[:2000] or None,
                requests=self.progress.traffic.attempts,
                jobs=self.progress.jobs,
            )

    def _check(self, since: datetime, read: pa.ChunkedArray | None = None) -> None:
        """Looks at what was loaded and keeps what is found; a destination that cannot be asked does not fail the load.
        ``read`` are the ids of the jobs that a slice brought, where they are known."""
        try:
            found = data_checks.check(self.pipeline, self.summary.tenant, self.summary.run_id, since, read)
            if found:
                # What they are about is in the warehouse now, and its cursors with it.
                pending.mark(self.pipeline)
                self._write(data_checks.resource(found))
        except (DatabaseException, PipelineStepFailed) as error:
            self.say(f"Loaded, but not checked. {explain(error).text}")
        else:
            self.summary.findings += map(str, found)

    def record(self, error: BaseException) -> None:
        """Keeps a row of a run that failed, and writes it where the destination is not what failed."""
        why, summary = explain(error), self.summary
        self.backlog.add(failed(summary.run_id, summary.tenant, self.started_at, datetime.now(UTC), why, self.progress))
        if why.kind not in ("destination", "config"):
            with writing_turn(self.pipeline, self.lease, self.say):
                self._record_failures()

    def _record_failures(self) -> None:
        """Writes waiting rows of failed runs; where that fails as well, they go on waiting."""
        if self.pipeline.has_pending_data:
            return
        try:
            self._write(resource(iter(self.backlog.rows())))
            self.backlog.clear()
        except Exception as error:
            self.say(f"The failed run will be recorded with the next load: {explain(error).text}")

    def _write(self, rows: Any) -> None:
        """Loads the rows of a single resource into the schema of our tables."""
        name = destinations.SCHEMA
        schema = self.pipeline.schemas[name] if name in self.pipeline.schema_names else dlt.Schema(name)
        self.pipeline.run(destinations.prepare(rows, self.pipeline), schema=schema)
