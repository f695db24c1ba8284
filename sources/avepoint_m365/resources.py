"""Make the dlt resources: one for each location and object type, with its own cursor; one extraction serves all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.specs import BaseConfiguration
from dlt.extract import DltResource

from avepoint_m365 import rows, schema
from avepoint_m365.constants import ObjectType
from avepoint_m365.created import created_tables, is_created, is_refreshed
from avepoint_m365.cursor_hints import Cursor, cursor_moment, earliest_start, refuse_unsupported, shared_interval
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.extraction import Extraction
from avepoint_m365.extract.known import Lookup
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.progress import Progress
from avepoint_m365.parse.frame import TIME
from avepoint_m365.parse.times import in_utc
from avepoint_m365.state import STORED_SCANS, SourceState

logger = logging.getLogger(__name__)

Partition = tuple[str | None, ObjectType]
"""A location (None if none is configured) and an object type."""

APPENDED_FIRST = frozenset(
    table.name
    for table in (schema.JOBS, schema.BACKUP_DETAILS, schema.JOB_ERRORS, schema.LOAD_AUDIT, schema.RECONCILIATIONS)
)
"""Names of the tables whose rows replace no stored rows in a tenant's first load."""

FindLookup = Callable[[ExtractOptions], Lookup | None]
"""Function that returns the lookup of a load; None without access to the warehouse."""


@dataclass
class SourceRun:
    """Hold one run of the source in a pipeline.

    Attributes:
        cursors: The resources that take part, each with its cursor; None in a backfill.
        result: The chunk that was read for them; None until it is read.
        newest: The newest finish of each partition, once all rows were handed on.
        is_over: Whether all rows were handed on, or the run was cut short.
    """

    cursors: dict[Partition, Cursor | None] = field(default_factory=dict)
    result: ChunkResult | None = None
    newest: dict[tuple[str | None, str | None], datetime] = field(default_factory=dict)
    is_over: bool = False


class Resources:
    """Make the resources of a source. They share one extraction, and hand its rows on together."""

    def __init__(
        self, extraction: Extraction, progress: Progress, keep_unknown_fields: bool, find_lookup: FindLookup
    ) -> None:
        """Keep ``find_lookup``, which gives access to the warehouse of the pipeline that runs the source."""
        self._extraction, self._progress, self._find_lookup = extraction, progress, find_lookup
        self._jobs = schema.JOBS_WITH_UNKNOWN if keep_unknown_fields else schema.JOBS
        self._run = SourceRun()
        # Shared, since each incremental parses its path (1.4 ms); dlt copies it for each resource.
        self._cursor: Cursor = dlt.sources.incremental(
            schema.CURSOR,
            initial_value=extraction.options.start_date,
            primary_key=(),
            on_cursor_value_missing="include",
        )

    def partition(self, location: str | None, object_type: ObjectType) -> DltResource:
        """Return the resource of one partition: incremental on finish_time, or plain for a backfill."""
        name = f"jobs_{location.lower() if location else 'all'}_{object_type.name}"
        partition = (location, object_type)
        if self._extraction.options.since is not None:
            return dlt.resource(self._yield_rows(partition, None), name=name, write_disposition="merge")

        def jobs(finish_time: Cursor = self._cursor) -> Iterator[object]:
            return self._yield_rows(partition, finish_time)

        # A specification without fields: otherwise dlt resolves each field of each cursor in all configuration
        # sections, which is 8 % of a small load.
        return dlt.resource(jobs, name=name, write_disposition="merge", spec=BaseConfiguration)

    def _yield_rows(self, partition: Partition, cursor: Cursor | None) -> Iterator[object]:
        """Yield the rows of all partitions in the first resource that continues, and none in the others.

        dlt needs as long for a table of ten rows as for thousands. The cursor moves after the last row, so a run that
        is cut short, for example by ``add_limit``, moves none.
        """
        run = self._join(partition, cursor)
        if cursor is not None:
            refuse_unsupported(cursor)
            # Keep dlt from dropping rows behind the cursor: late and changed jobs lie there.
            cursor.advance(None)
        # dlt iterates over the resources in turn: all have joined before the first continues here.
        yield None
        if run.result is None:
            yield from self._read_and_yield(run)
        while not run.is_over:
            yield None
        newest = run.newest.get((partition[0], partition[1].name))
        if cursor is not None and not cursor.end_value and newest is not None:
            cursor.advance(max(cursor_moment(cursor.start_value), in_utc(newest)))

    def _join(self, partition: Partition, cursor: Cursor | None) -> SourceRun:
        if self._run.result is not None or self._run.is_over or partition in self._run.cursors:
            self._run = SourceRun()
        self._run.cursors[partition] = cursor
        return self._run

    def _read_and_yield(self, run: SourceRun) -> Iterator[object]:
        stored = dlt.current.source_state()
        cursors = [cursor for cursor in run.cursors.values() if cursor is not None]
        interval = shared_interval(cursors)
        extraction = self._extraction_of(run, [] if interval else cursors, stored)
        scope = extraction.options.scope
        try:
            run.result = self._progress.take_prefetched()
            if run.result is None:
                run.result = extraction.read(SourceState.load(stored, scope), interval)
                for finding in run.result.findings:
                    logger.warning(str(finding))
            self._progress.end_chunk(run.result)
            # Known jobs must be replaced, and dlt either appends or merges a whole table.
            self._progress.appends &= len(run.result.new) == run.result.jobs.num_rows
            created = created_tables()
            newest = {}
            for table, rows_of_table in self._tables(run):
                if table is self._jobs:
                    newest = _newest_finishes(run.result, rows_of_table)
                if rows_of_table.num_rows or not is_created(table, created):
                    hints = table.append_hints if self._appends(table, rows_of_table) else table.resource_hints
                    yield dlt.mark.with_hints(rows_of_table, hints, create_table_variant=True)
            run.result.keep_ids_only()
            run.result.state.save(stored, scope)
            run.newest = newest
        finally:
            run.is_over = True

    def _extraction_of(self, run: SourceRun, cursors: list[Cursor], stored: dict[str, object]) -> Extraction:
        """Return the extraction for the resources that take part, over the warehouse of the pipeline that runs them.

        The stored state is dropped if this run or an earlier command has dropped its rows. ``cursors`` determine where
        a first load begins.
        """
        extraction = self._extraction
        types = tuple(kind for kind in ObjectType if kind in {object_type for _, object_type in run.cursors})
        options = extraction.options
        if types != options.object_types:
            options = options._replace(object_types=types)
        options = options._replace(start_date=earliest_start(cursors, options.start_date))
        if is_refreshed():
            _drop_progress(stored)
            return extraction.over(options, None)
        if extraction.lookup is not None:
            return extraction.over(options, extraction.lookup)
        lookup = self._find_lookup(options)
        # Without its table in dlt's schema, a lookup fails or is missing: dlt's command ``drop`` removes both.
        is_empty = self._jobs.name not in created_tables() or (lookup is not None and lookup.is_empty())
        if is_empty and SourceState.load(stored, options.scope).scan.cursor:
            _drop_progress(stored)
        return extraction.over(options, lookup)

    def _appends(self, table: schema.Table, new_rows: pa.Table) -> bool:
        """Return whether rows are appended, not merged: in a first load, those that cannot replace stored ones."""
        return self._progress.appends and (table.name in APPENDED_FIRST or not new_rows.num_rows)

    def _tables(self, run: SourceRun) -> Iterator[tuple[schema.Table, pa.Table]]:
        """Yield each table with its rows."""
        result, options, now = run.result, self._extraction.options, datetime.now(UTC)
        assert result is not None
        result = _without_other_locations(result, list(run.cursors), options)
        tenant, run_id = options.tenant, options.run_id
        yield schema.STATE_WORDS, rows.state_word_rows(result, now)
        yield schema.JOB_CHANGES, rows.change_rows(result, tenant, now)
        yield schema.JOB_ERRORS, rows.error_rows(result.jobs, tenant, removing=not self._progress.appends)
        yield schema.BACKUP_DETAILS, rows.detail_rows(result.jobs, tenant)
        yield self._jobs, rows.job_rows(result, tenant, now, self._jobs.arrow)
        # Last, so that a run that add_limit cuts short proves nothing.
        yield schema.LOAD_AUDIT, rows.audit_rows(result, tenant, run_id)
        yield schema.RECONCILIATIONS, rows.reconciliation_rows(result, tenant, run_id)


def _drop_progress(stored: dict[str, object]) -> None:
    """Remove all scan and backfill states, so that the next load of each scope reads its history again."""
    for key in (STORED_SCANS, "backfill"):
        stored.pop(key, None)


def _without_other_locations(result: ChunkResult, partitions: list[Partition], options: ExtractOptions) -> ChunkResult:
    """Return the result with the jobs of the locations that take part; those outside the lists stay."""
    locations = {location for location, _ in partitions}
    if locations >= set(options.locations):
        return result
    others = [job_id for job_id, location in result.labels["location"].items() if location not in locations]
    elsewhere = pc.is_in(result.jobs["id"], pa.array(others, pa.string()))
    return replace(result, jobs=result.jobs.filter(pc.invert(elsewhere)))


def _newest_finishes(result: ChunkResult, jobs: pa.Table) -> dict[tuple[str | None, str | None], datetime]:
    """Return the newest finish (UTC) by location and object type, up to the load's cursor.

    ``jobs`` are rows of the table of this name.
    """
    cursor = result.state.scan.cursor
    if cursor is None or result.state.scan.gap_start is not None:
        return {}
    jobs = jobs.select(["location", "object_type", "finish_time"])
    jobs = jobs.filter(pc.less_equal(jobs["finish_time"], pa.scalar(cursor, TIME)))
    newest = jobs.group_by(["location", "object_type"]).aggregate([("finish_time", "max")])
    return {(row["location"], row["object_type"]): row["finish_time_max"] for row in newest.to_pylist()}
