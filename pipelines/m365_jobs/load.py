"""One load from start to end: what was left over, what is new, and what to say of it."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365 import Progress, avepoint_m365
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.storages.exceptions import LoadPackageAlreadyCompleted
from dlt.destinations.exceptions import DatabaseException
from dlt.pipeline.exceptions import PipelineStepFailed

from m365_jobs import destinations, marts, quality, warehouse
from m365_jobs.errors import INCOMPLETE, UsageError, explain
from m365_jobs.lease import Busy, Lease, lease_of
from m365_jobs.locks import LOCK_WAIT, folder_lock, threads, writing_turn
from m365_jobs.reader import open_in_load
from m365_jobs.runs import Backlog, Run, failed, resource
from m365_jobs.tenants import Tenant

SLICE_JOBS = 100_000
"""Jobs that one committed load of a long range holds at most, which bounds memory and what a crash costs."""

MARK = "warehouse"
"""A file in a pipeline's folder; see ``_mark``."""

Say = Callable[[str], None]


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


@dataclass
class Summary:
    """What a load did."""

    run_id: str
    tenant: str
    warehouse: str
    dataset: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    incomplete: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """As in ``load_runs``."""
        return "incomplete" if self.incomplete else "complete"

    @property
    def exit_code(self) -> int:
        """0, or 3 where some partition could not be proved complete."""
        return INCOMPLETE if self.incomplete else 0


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
        try:
            summary = _load(pipeline, options, tenant, run_id, started_at, progress, backlog, lease, writing, say)
            destinations.finish(pipeline, tenant, say, protection)
            return summary
        except Busy:
            raise
        except BaseException as error:
            writing.close()
            why = explain(error)
            backlog.add(failed(run_id, tenant, started_at, datetime.now(UTC), why, progress))
            if why.kind not in ("destination", "config"):
                with writing_turn(pipeline, lease, say):
                    _record_failures(pipeline, backlog, say)
            raise


def _load(
    pipeline: dlt.Pipeline,
    options: Options,
    tenant: str,
    run_id: str,
    started_at: datetime,
    progress: Progress,
    backlog: Backlog,
    lease: Lease,
    writing: ExitStack,
    say: Say,
) -> Summary:
    """What ``load`` does, but for what makes reading fast; ``writing`` then still keeps others from the warehouse."""
    began = time.monotonic()
    summary = Summary(run_id, tenant, warehouse.location(pipeline), pipeline.dataset_name)

    def run_row() -> Run:
        return Run(
            run_id=run_id,
            tenant=tenant,
            started_at=started_at,
            ended_at=datetime.now(UTC),
            status=summary.status,
            error_kind=None,
            detail="; ".join(summary.incomplete)[:2000] or None,
            requests=progress.traffic.attempts,
            jobs=progress.jobs,
        )

    # Made once before anything else, so that a wrong setting is told before the warehouse is touched.
    source = _source(options, run_id, progress)
    lease.take(options.min_age, LOCK_WAIT, say)
    with writing_turn(pipeline, lease, say):
        left_since = _finish_what_was_left(pipeline, say)
        _start_over_without_rows(pipeline, tenant, say)
        if left_since:
            _check(pipeline, summary, left_since, say)
    while True:
        since = datetime.now(UTC)
        source.resources.add(resource(_rows(run_row, summary, progress, backlog)), quality.resource([]))
        destinations.prepare(source, pipeline)
        pipeline.extract(source, loader_file_format=destinations.file_format(pipeline))
        with threads:
            # Before anything is locked: only then is it known whether tables have to be made.
            pipeline.normalize()
        # Kept open until all is done: another program may take a DuckDB file the moment that it is closed, and opening
        # and closing it takes longer than most of what is done in between.
        writing.enter_context(writing_turn(pipeline, lease, say))
        _compare(pipeline, tenant, progress, summary)
        pipeline.load()
        backlog.clear()
        _check(pipeline, summary, since, say, _ids(progress))
        if progress.cut_at is None:
            break
        _mark(pipeline)
        writing.close()
        say(f"Loaded up to {progress.cut_at:%Y-%m-%d %H:%M} UTC, {progress.jobs:,} jobs so far; going on.")
        # What was read of a slice is held in circles, which Python breaks up by their number, not by what they hold.
        del source
        progress.results = []
        gc.collect()
        source = _source(options, run_id, progress)
    summary.requests = progress.traffic.attempts
    summary.seconds = time.monotonic() - began
    return summary


def _ids(progress: Progress) -> pa.ChunkedArray:
    """The ids of the jobs that a slice brought."""
    return pa.chunked_array([ids for one in progress.results for ids in one.jobs["id"].chunks], pa.string())


def _check(
    pipeline: dlt.Pipeline, summary: Summary, since: datetime, say: Say, read: pa.ChunkedArray | None = None
) -> None:
    """Looks at what was loaded and keeps what is found; a destination that cannot be asked does not fail the load."""
    try:
        found = quality.check(pipeline, summary.tenant, summary.run_id, since, read)
        if found:
            pipeline.run(destinations.prepare(quality.resource(found), pipeline), schema=_schema(pipeline))
    except (DatabaseException, PipelineStepFailed) as error:
        say(f"Loaded, but not checked. {explain(error).text}")
    else:
        summary.findings += map(str, found)


def _source(options: Options, run_id: str, progress: Progress) -> Any:
    own = options.tenant.settings if options.tenant else {}
    return avepoint_m365(
        **{**own, **options.source},
        since=options.since,
        until=options.until,
        slice_jobs=SLICE_JOBS,
        run_id=run_id,
        progress=progress,
    )


def _rows(run_row: Callable[[], Run], summary: Summary, progress: Progress, backlog: Backlog) -> Iterator[Run | None]:
    """Failed runs that wait, then, in the last slice, this run, once all partitions are read."""
    yield from backlog.rows()
    while not progress.results:
        yield None
    summary.incomplete += _incomplete(progress)
    if progress.cut_at is None:
        yield run_row()


def _finish_what_was_left(pipeline: dlt.Pipeline, say: Say) -> datetime | None:
    """Loads packages that an earlier load left, then takes state and schema from the destination. The time (UTC) from
    which on what it loaded had been fetched; None where it loaded nothing.

    The destination's cursors are the ones that match its rows: a working directory may have seen another warehouse
    since, or a newer copy of this one. So what was read but not made ready to load is dropped, and read again from
    there: dlt cannot go on where it was killed right after it had made a package ready.
    """
    folder = Path(pipeline.working_dir)
    since = None
    ready, read = _packages(pipeline.list_normalized_load_packages), _packages(pipeline.list_extracted_load_packages)
    if ready or read:
        if not _is_marked(pipeline):
            say(
                "Dropping what an interrupted load had read for another warehouse; that one's next load reads it again."
            )
        elif ready:
            say("An earlier load was interrupted; finishing what it had read.")
            since = min(pipeline.get_load_package_state(one)["created_at"] for one in ready)
            _load_what_is_ready(pipeline)
        else:
            say("An earlier load was interrupted while it read; reading that again.")
    # A folder without its state counts as new, however much of it a process that is killed in here leaves.
    (folder / pipeline.STATE_FILE).unlink(missing_ok=True)
    pipeline.drop()
    pipeline.activate()
    pipeline.sync_destination()
    destinations.ensure_ours(pipeline)
    _mark(pipeline)
    return since


def _start_over_without_rows(pipeline: dlt.Pipeline, tenant: str, say: Say) -> None:
    """Forgets cursors whose rows are gone. dlt's ``drop`` of a single resource takes the tables of all partitions and
    tenants with it, but no cursor but its own."""
    sources = pipeline.state.get("sources", {})
    if not sources.get(destinations.SCHEMA, {}).get("resources") or _was_loaded(pipeline, tenant):
        return
    say(f"The warehouse no longer holds what was loaded before of {tenant}; reading everything again.")
    with pipeline.managed_state() as state:
        del state["sources"][destinations.SCHEMA]


def _was_loaded(pipeline: dlt.Pipeline, tenant: str) -> bool:
    """Whether the warehouse knows of any load of a tenant, be it one that found no job."""
    with open_in_load(pipeline) as reader:
        try:
            # In words that every destination has: to translate takes longer than to ask.
            return bool(
                reader.rows(f"SELECT DISTINCT tenant FROM {reader.table('load_audit')} WHERE tenant = %s", tenant)
            )
        except DestinationUndefinedEntity:
            return False


def _mark(pipeline: dlt.Pipeline) -> None:
    """Keeps, beside the packages of a load, which warehouse they are for, and the version of its cursors that they go
    on from."""
    text = f"{warehouse.fingerprint(pipeline)} {_state_version(pipeline)}"
    (Path(pipeline.working_dir) / MARK).write_text(text, encoding="utf-8")


def _is_marked(pipeline: dlt.Pipeline) -> bool:
    """Whether the packages there are for the warehouse as it is. One that was made anew, or is an older copy, lacks
    rows that lie before their cursors."""
    mark = Path(pipeline.working_dir) / MARK
    name, _, version = mark.read_text(encoding="utf-8").partition(" ") if mark.exists() else ("", "", "")
    return name == warehouse.fingerprint(pipeline) and int(version or 0) <= _state_version(pipeline)


def _state_version(pipeline: dlt.Pipeline) -> int:
    """The version of dlt's state, cursors included, that the warehouse has; 0 where it has none."""
    with pipeline.destination_client() as client:
        try:
            stored = client.get_stored_state(pipeline.pipeline_name) if isinstance(client, WithStateSync) else None
        except DestinationUndefinedEntity:
            return 0
    return stored.version if stored else 0


def _packages(listing: Callable[[], Sequence[str]]) -> Sequence[str]:
    """The load packages of a pipeline's folder; none where dlt was killed while it made the folder they lie in."""
    try:
        return listing()
    except FileNotFoundError:
        return []


def _load_what_is_ready(pipeline: dlt.Pipeline) -> None:
    try:
        pipeline.load()
    except PipelineStepFailed as error:
        # Killed between the end of a package and its move to the loaded ones, which dlt does not make up for.
        if not isinstance(error.exception, LoadPackageAlreadyCompleted):
            raise


def _record_failures(pipeline: dlt.Pipeline, backlog: Backlog, say: Say) -> None:
    """Writes waiting rows of failed runs; where that fails as well, they go on waiting."""
    if pipeline.has_pending_data:
        return
    try:
        pipeline.run(destinations.prepare(resource(iter(backlog.rows())), pipeline), schema=_schema(pipeline))
        backlog.clear()
    except Exception as error:
        say(f"The failed run will be recorded with the next load: {explain(error).text}")


def _schema(pipeline: dlt.Pipeline) -> Any:
    name = destinations.SCHEMA
    return pipeline.schemas[name] if name in pipeline.schema_names else dlt.Schema(name)


def _incomplete(progress: Progress) -> list[str]:
    """A line for each listing that could not be proved complete."""
    return [
        f"{result.partition}, {listing.job_type.name if listing.job_type else 'all job types'}: "
        f"{len(listing.ids)} jobs found, {listing.reported_total if listing.reported_total is not None else '?'} "
        f"reported{f'; the API says: {listing.errors}' if listing.errors else ''}"
        for result in progress.results
        for listing in result.listings
        if not listing.complete
    ]


def _compare(pipeline: dlt.Pipeline, tenant: str, progress: Progress, summary: Summary) -> None:
    """Adds up what a slice brought, against what the warehouse holds before it is loaded."""
    windows = [one.partition.window for one in progress.results]
    # A range may be of starts, and jobs go on past its end.
    finishes = filter(None, (pc.max(one.jobs["finish_time"]).as_py() for one in progress.results))
    end = max([*(one.asked_end for one in windows), *finishes])
    known = _known(pipeline, tenant, min(one.start for one in windows), end)
    for result in progress.results:
        jobs = result.jobs
        for count in pc.value_counts(jobs["state"]).to_pylist():
            summary.states[str(count["values"])] += count["counts"]
        held = jobs.filter(pc.is_in(jobs["id"], pa.array(known.keys(), pa.string())))
        summary.new += jobs.num_rows - held.num_rows
        columns = (held[name].to_pylist() for name in ("id", "state", "start_time", "finish_time", "duration_hours"))
        changed = sum(known[job_id] != tuple(job) for job_id, *job in zip(*columns, strict=True))
        summary.changed += changed
        summary.unchanged += held.num_rows - changed
    summary.retries += sum(listing.retries for result in progress.results for listing in result.listings)


def _known(pipeline: dlt.Pipeline, tenant: str, start: datetime, end: datetime) -> dict[str, tuple[Any, ...]]:
    """What the warehouse says of jobs that ended between ``start`` and ``end`` (UTC) or have not ended."""
    with open_in_load(pipeline) as reader:
        try:
            rows = reader.rows(
                f"SELECT id, state, start_time, finish_time, duration_hours FROM {reader.table('jobs')} "
                "WHERE tenant = %s AND (finish_time IS NULL OR finish_time BETWEEN %s AND %s)",
                tenant,
                start,
                end,
            )
        except DestinationUndefinedEntity:
            return {}
    return {row.pop("id"): tuple(row.values()) for row in rows}
