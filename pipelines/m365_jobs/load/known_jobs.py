"""Look up the jobs of a tenant in the warehouse, for the source to compare with the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

import dlt
from avepoint_m365.extract.known import KnownJob, OpenJob
from avepoint_m365.lookup import BATCH, SqlLookup
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.locks.pipeline_folder import open_duckdb_file
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.destinations.duckdb_rows import AMONG_IDS
from m365_jobs.warehouse.reader import Reader, open_in_load
from m365_jobs.warehouse.target import lacks_file
from m365_jobs.warehouse.versions import refuse_newer

COUNTS = {
    "start": "start_time BETWEEN %s AND %s",
    "finish": "finish_time BETWEEN %s AND %s",
    "contained": "start_time >= %s AND finish_time <= %s",
}
"""Value of ``RangeFilter`` to the condition for the jobs in a range, as in ``upkeep.count_jobs``.

Jobs in progress are left out: the API may count them in any range. A count that is too low costs requests; one that is
too high would hide a missing job.
"""

QUERIED_TABLES = ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs", "state_words")
"""Tables that a lookup queries."""


class _Prefetched(NamedTuple):
    """Hold the results of the queries that a load runs after ``jobs``."""

    open_jobs: list[OpenJob]
    unlabelled: dict[str, tuple[int, str | None]]
    state_words: dict[str, int]


class WarehouseLookup(SqlLookup):
    """Look up jobs in the warehouse of a load. ``jobs`` also reads the results of later calls."""

    def __init__(
        self, pipeline: dlt.Pipeline, tenant: str, notify: Notify, until_request: ExitStack | None = None
    ) -> None:
        """Keep ``until_request``, which holds a DuckDB file open after ``jobs``, up to the next request or write.

        A load with nothing new sends no further request, and would open the file once more: 30 ms of 800.
        """
        super().__init__(self._run, tenant)
        self._pipeline, self._label, self._notify = pipeline, tenant, notify
        self._until_request, self._holds_file, self._lock = until_request, False, Lock()
        self._reader: Reader | None = None
        self._prefetched: _Prefetched | None = None
        self._is_empty: bool | None = None

    def was_loaded(self) -> bool:
        """Return whether the warehouse has a load of the tenant and, if a load found jobs, still holds some.

        The result of ``is_empty`` is kept for later calls.

        Raises:
            WarehouseError: if a newer version of this program has loaded into it.
        """
        with self.connected() as reader:
            refuse_newer(reader)

            def largest_value(column: str, table: str) -> Any:
                # All destinations accept this SQL, and a translation would be slower than the query.
                sql = f"SELECT max({column}) AS largest FROM {reader.table(table)} WHERE tenant = %s"
                return reader.rows(sql, self._label)[0]["largest"]

            try:
                most_jobs = largest_value("distinct_jobs", "load_audit")
                self._is_empty = largest_value("id", "jobs") is None
            except DestinationUndefinedEntity:
                return False
        return most_jobs is not None and (most_jobs == 0 or not self._is_empty)

    def is_empty(self) -> bool:
        """Return whether the warehouse holds no job of the tenant."""
        if self._is_empty is None:
            self._is_empty = lacks_file(self._pipeline) or super().is_empty()
        return self._is_empty

    def jobs(self, ids: Sequence[str]) -> list[KnownJob]:
        """Return the jobs of the tenant that the warehouse holds among ``ids``."""
        with self.connected() as reader:
            jobs = super().jobs(self._stored_ids(reader, ids))
            self._prefetched = _Prefetched(super().open_jobs(), super().unlabelled(), super().state_words())
            if self._until_request is not None and not self._holds_file:
                self._until_request.enter_context(open_duckdb_file(self._pipeline, self._notify))
                self._holds_file = True
        return jobs

    def release(self) -> None:
        """Close the file that ``jobs`` left open: other programs may need it while the API responds."""
        with self._lock:
            if self._holds_file and self._until_request is not None:
                self._until_request.close()
            self._holds_file = False

    def _stored_ids(self, reader: Reader, ids: Sequence[str]) -> Sequence[str]:
        """Return the ids that a DuckDB file holds; all ids for other destinations, and for a single batch.

        Each batch of ids scans the whole table: 2 s for 86,000 ids and 215,000 stored jobs. One query for all ids needs
        0.1 s.
        """
        if reader.dialect != "duckdb" or len(ids) <= BATCH:
            return ids
        try:
            rows = reader.rows(
                f"SELECT id FROM {reader.table('jobs')} WHERE tenant = %s AND id {AMONG_IDS}", self._label, list(ids)
            )
        except DestinationUndefinedEntity:
            return ()
        return [row["id"] for row in rows]

    def open_jobs(self) -> list[OpenJob]:
        """Return the jobs of the tenant that are in progress, oldest start first."""
        return self._prefetched.open_jobs if self._prefetched else super().open_jobs()

    def unlabelled(self) -> dict[str, tuple[int, str | None]]:
        """Return the number of jobs without a label and the id of one, by location, object_type and job_type."""
        return self._prefetched.unlabelled if self._prefetched else super().unlabelled()

    def state_words(self) -> dict[str, int]:
        """Return the codes of state words that loads learned, by word."""
        return self._prefetched.state_words if self._prefetched else super().state_words()

    def count(
        self,
        start: datetime,
        end: datetime,
        range_filter: str | None,
        location: str | None = None,
        object_types: Sequence[str] = (),
    ) -> int | None:
        """Return the number of jobs in a range (UTC); the lowest of all filters if ``range_filter`` is unknown."""
        conditions = [COUNTS[range_filter]] if range_filter else list(COUNTS.values())
        with self.connected() as reader:
            counts = [
                reader.rows(
                    f"SELECT count(*) AS jobs FROM {reader.table('jobs')} WHERE tenant = %s AND {condition}"
                    + (" AND location = %s" if location else "")
                    + (f" AND object_type IN ({', '.join(['%s'] * len(object_types))})" if object_types else ""),
                    *(self._label, start, end, *([location] if location else []), *object_types),
                )[0]["jobs"]
                for condition in conditions
            ]
        return int(min(counts))

    def table(self, name: str) -> str:
        """Return the qualified name of a table."""
        return self._reader.table(name) if self._reader is not None else name

    @contextmanager
    def connected(self) -> Iterator[Reader]:
        """Keep one connection open for all queries of the block: each opening of a DuckDB file lasts 20 ms."""
        if self._reader is not None:
            yield self._reader
            return
        with ExitStack() as stack:
            client = stack.enter_context(open_duckdb_file(self._pipeline, self._notify))
            reader = (
                Reader(client, "duckdb")
                if client
                else stack.enter_context(open_in_load(self._pipeline, QUERIED_TABLES, self._label))
            )
            self._reader = reader
            try:
                yield reader
            finally:
                self._reader = None

    def _run(self, template: str) -> list[tuple[Any, ...]]:
        with self.connected() as reader:
            try:
                return [tuple(row.values()) for row in reader.rows(self.qualify(template))]
            except DestinationUndefinedEntity:
                return []
