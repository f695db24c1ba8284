"""Keep leases in a lake: a small Delta table for each tenant, in a folder beside the dataset's.

A lake has no server that could decide. Delta has commits: of two that follow the same version, one is refused. So a
commit acquires a lease and each renewal is a commit. A holder whose commit is refused has lost the lease.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
import dlt.common.libs.deltalake  # Says what to install where deltalake is missing, so it comes first.
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseTransientException

from m365_jobs.locks import base as leases
from m365_jobs.locks.base import Notify, RenewableLease
from m365_jobs.locks.pipeline_folder import LOCK_WAIT
from m365_jobs.warehouse.destinations import lake_tables
from m365_jobs.warehouse.destinations.delta_files import remove_older
from m365_jobs.warehouse.pipeline import pipeline_name

CLOCKS_DIFFER = timedelta(minutes=5)
"""What the clocks of two workers may differ by: so much longer than a lease lasts, it is left alone by a worker that
cannot wait to see it expire."""

TIDY_EVERY = 100
"""Versions of a lease's table after which files and log entries of old ones are removed."""

KEEP_HOURS = 1
"""How old these have to be: another may be about to read them."""

COLUMNS = pa.schema(
    [
        ("tenant", pa.string()),
        ("holder", pa.string()),
        ("renewed_at", pa.timestamp("us", "UTC")),
        ("ended_at", pa.timestamp("us", "UTC")),
    ]
)
ONCE = CommitProperties(max_commit_retries=0)
"""Has Delta refuse a commit after any other, also after one that it could be reconciled with."""


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn storage errors that delta-rs passes on into a destination's failure."""
    try:
        yield
    except OSError as error:
        raise DatabaseTransientException(error) from error


class LakeLease(RenewableLease):
    """Keep a table of one row: ``holder`` (null when free), ``renewed_at``, ``ended_at`` (end of the last load)."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> None:
        super().__init__(pipeline, tenant, run_id, notify)
        self._name = pipeline_name(tenant)
        self._place: tuple[str, dict[str, str]] | None = None
        self._table: Any = None
        self._last_end: datetime | None = None
        self._one_at_a_time = threading.Lock()
        self._taken_at = 0
        """The version that the holder before left, less its own last commit."""
        self._seen: tuple[int, float] | None = None
        """The version that another's lease was first seen at, and when, by a clock that nobody sets."""

    @_refusals()
    def _try(self, age: float) -> str:
        if not self._place:
            # Asked here for the thread that renews: dlt reads the configuration for the thread that asks.
            client: Any = self._pipeline.destination_client()
            folder = client.pathlib.join(client.bucket_path, f"{client.dataset_name}_leases", self._name)
            self._place = client.make_remote_url(folder), lake_tables.storage_options(client)
        self._table = self._open()
        row = self._row(self._table)
        if (holder := row.get("holder")) and not self._expired(row["renewed_at"]):
            return self._running(holder)
        self._last_end = row.get("ended_at")
        # An end that is to come is of a clock that was put back since, and says nothing.
        if self._last_end and 0 <= (ago := (datetime.now(UTC) - self._last_end).total_seconds()) < age:
            return self._too_young(ago)
        self._taken_at = self._table.version() - 1
        return "" if self._hold(self._holder, self._last_end) else self._running("since just now")

    def _open(self) -> DeltaTable:
        assert self._place
        table: DeltaTable | None = lake_tables.open_delta(*self._place)
        if table is None:
            try:
                return DeltaTable.create(self._place[0], COLUMNS, storage_options=self._place[1])
            except DeltaError:
                # Another was faster, if it is there now.
                table = lake_tables.open_delta(*self._place)
                if table is None:
                    raise
        return table

    @staticmethod
    def _row(table: DeltaTable) -> dict[str, Any]:
        rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
        return rows[0] if rows else {}

    def _expired(self, renewed_at: datetime) -> bool:
        """Return whether a lease stayed unchanged for its whole duration, or belongs to another time altogether."""
        version, now = self._table.version(), time.monotonic()
        if self._seen is None or self._seen[0] != version:
            self._seen = version, now
        lasts = timedelta(seconds=leases.SECONDS)
        return now - self._seen[1] > leases.SECONDS or abs(datetime.now(UTC) - renewed_at) > lasts + CLOCKS_DIFFER

    def _commit(self, holder: str | None, ended_at: datetime | None) -> bool:
        """Write the row as the version after the known one; return false if that version exists."""
        row = {"tenant": self._tenant, "holder": holder, "renewed_at": datetime.now(UTC), "ended_at": ended_at}
        rows = pa.Table.from_pylist([row], COLUMNS)
        try:
            write_deltalake(self._table, rows, mode="overwrite", commit_properties=ONCE)
        except CommitFailedError:
            return False
        return True

    @contextmanager
    def _kept_apart(self, client: Any) -> Iterator[None]:
        if self._tables_are_there():
            yield
            return
        # Two that make them at once would fail each other.
        with SchemaChangeLock(self._pipeline, self._tenant, self._run_id, self._notify) as making:
            making.take(None, LOCK_WAIT, self._notify)
            yield

    def _tables_are_there(self) -> bool:
        """Return whether the lake has the tables and columns of the pipeline's schemas, so that dlt makes none."""
        client, schemas = self._pipeline.destination_client(), self._pipeline.schemas
        assert isinstance(client, WithStateSync)
        try:
            return bool(self._pipeline.schema_names) and all(
                client.get_stored_schema_by_hash(schemas[name].version_hash) for name in self._pipeline.schema_names
            )
        except DestinationUndefinedEntity:
            return False

    @_refusals()
    def _renew(self, client: Any = None) -> bool:
        with self._one_at_a_time:
            return self._hold(self._holder, self._last_end)

    @_refusals()
    def _give_back(self) -> None:
        with self._one_at_a_time:
            try:
                # While the lease is held: each of these is a commit, which would refuse that of the next holder.
                if self._table.version() // TIDY_EVERY > self._taken_at // TIDY_EVERY:
                    remove_older(self._table, KEEP_HOURS)
            finally:
                self._hold(None, datetime.now(UTC))

    def _hold(self, holder: str | None, ended_at: datetime | None) -> bool:
        """Commit as the holder, and once more if the version after the known one is its own.

        A commit may arrive although its answer does not.
        """
        if self._commit(holder, ended_at):
            return True
        newest = self._open()
        if self._row(newest).get("holder") != self._holder:
            # The known version stays as it is: a lease that was lost is not to be had by trying again.
            return False
        self._table = newest
        return self._commit(holder, ended_at)


class SchemaChangeLock(LakeLease):
    """Keep loads apart that create tables or columns, of any tenant."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> None:
        super().__init__(pipeline, tenant, run_id, notify)
        self._name = "tables"

    def _running(self, holder: str) -> str:
        return f"Another load is making the tables of the lake ({holder})."
