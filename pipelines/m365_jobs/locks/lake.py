"""Keep leases in a lake: a Delta table of one row for each tenant, in a folder beside the dataset's.

A lake has no server with locks. But of two Delta commits that follow the same version, one is refused. So acquiring
and renewing a lease are commits. A holder whose commit is refused has lost the lease.
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
from m365_jobs.locks.base import RenewableLease
from m365_jobs.locks.pipeline_folder import LOCK_WAIT
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.destinations import lake_tables
from m365_jobs.warehouse.destinations.cut_files import remove_cut_files
from m365_jobs.warehouse.destinations.delta_files import remove_expired
from m365_jobs.warehouse.pipeline import pipeline_name

CLOCKS_DIFFER = timedelta(minutes=5)
"""The most by which the clocks of two workers differ. A worker that does not wait respects a lease for that much longer
than it lasts."""

TIDY_VERSIONS = 100
"""Number of versions of a lease's table after which the files and log entries of old versions are removed."""

KEEP_HOURS = 1
"""Age in hours from which they are removed: another worker may be reading younger ones."""

COLUMNS = pa.schema(
    [
        ("tenant", pa.string()),
        ("holder", pa.string()),
        ("renewed_at", pa.timestamp("us", "UTC")),
        ("ended_at", pa.timestamp("us", "UTC")),
    ]
)
NO_RETRY = CommitProperties(max_commit_retries=0)
"""Makes Delta refuse a commit if another came first, instead of reconciling both."""


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Convert the storage errors of delta-rs to the transient error of a destination."""
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
        self._commit_lock = threading.Lock()
        self._version_before = 0
        """The version before this lease was acquired, less the last commit of the holder before."""
        self._seen: tuple[int, float] | None = None
        """The version of another holder's lease, and when it was first seen, by the monotonic clock."""

    @_storage_errors()
    def _try_acquire(self, age: float) -> str:
        if not self._place:
            # Resolved here for the thread that renews: dlt resolves the configuration per thread.
            client: Any = self._pipeline.destination_client()
            folder = client.pathlib.join(client.bucket_path, f"{client.dataset_name}_leases", self._name)
            self._place = client.make_remote_url(folder), lake_tables.storage_options(client)
        self._table = self._open()
        row = self._row(self._table)
        if (holder := row.get("holder")) and not self._expired(row["renewed_at"]):
            return self._running(holder)
        self._last_end = row.get("ended_at")
        # An end in the future came from a wrong clock; ignore it.
        if self._last_end and 0 <= (ago := (datetime.now(UTC) - self._last_end).total_seconds()) < age:
            return self._loaded_recently(ago)
        self._version_before = self._table.version() - 1
        if not self._commit_as_holder(self._holder, self._last_end):
            return self._running("since just now")
        # A killed holder had renewed its lease up to a third of its duration before.
        for file in remove_cut_files(self._pipeline.destination_client(), self._name, leases.LEASE_SECONDS / 2):
            self._notify(f"Removed {file}, which an interrupted load had left cut off.")
        return ""

    def _open(self) -> DeltaTable:
        assert self._place
        table: DeltaTable | None = lake_tables.open_delta(*self._place)
        if table is None:
            try:
                return DeltaTable.create(self._place[0], COLUMNS, storage_options=self._place[1])
            except DeltaError:
                # Another worker may have created it first.
                table = lake_tables.open_delta(*self._place)
                if table is None:
                    raise
        return table

    @staticmethod
    def _row(table: DeltaTable) -> dict[str, Any]:
        rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
        return rows[0] if rows else {}

    def _expired(self, renewed_at: datetime) -> bool:
        """Return whether a lease was not renewed for its duration, or its time differs by more than clocks may."""
        version, now = self._table.version(), time.monotonic()
        if self._seen is None or self._seen[0] != version:
            self._seen = version, now
        lasts = timedelta(seconds=leases.LEASE_SECONDS)
        return now - self._seen[1] > leases.LEASE_SECONDS or abs(datetime.now(UTC) - renewed_at) > lasts + CLOCKS_DIFFER

    def _commit(self, holder: str | None, ended_at: datetime | None) -> bool:
        """Write the row as the next version; return false if another worker has written that version."""
        row = {"tenant": self._tenant, "holder": holder, "renewed_at": datetime.now(UTC), "ended_at": ended_at}
        rows = pa.Table.from_pylist([row], COLUMNS)
        try:
            write_deltalake(self._table, rows, mode="overwrite", commit_properties=NO_RETRY)
        except CommitFailedError:
            return False
        return True

    @contextmanager
    def _exclude_other_writers(self, client: Any) -> Iterator[None]:
        if self._has_all_tables():
            yield
            return
        # Two loads that create tables at once would make each other fail.
        with SchemaChangeLock(self._pipeline, self._tenant, self._run_id, self._notify) as making:
            making.acquire(None, LOCK_WAIT, self._notify)
            yield

    def _has_all_tables(self) -> bool:
        """Return whether the lake has the tables and columns of the pipeline's schemas, so that dlt creates none."""
        client, schemas = self._pipeline.destination_client(), self._pipeline.schemas
        assert isinstance(client, WithStateSync)
        try:
            return bool(self._pipeline.schema_names) and all(
                client.get_stored_schema_by_hash(schemas[name].version_hash) for name in self._pipeline.schema_names
            )
        except DestinationUndefinedEntity:
            return False

    @_storage_errors()
    def _renew(self, client: Any = None) -> bool:
        with self._commit_lock:
            return self._commit_as_holder(self._holder, self._last_end)

    @_storage_errors()
    def _release(self) -> None:
        with self._commit_lock:
            try:
                # It comes before the release: its commits would make the next holder's commit fail.
                if self._table.version() // TIDY_VERSIONS > self._version_before // TIDY_VERSIONS:
                    remove_expired(self._table, KEEP_HOURS)
            finally:
                self._commit_as_holder(None, datetime.now(UTC))

    def _commit_as_holder(self, holder: str | None, ended_at: datetime | None) -> bool:
        """Commit the row; if the next version exists and is this holder's own, commit once more.

        A commit may succeed although its response is lost.
        """
        if self._commit(holder, ended_at):
            return True
        newest = self._open()
        if self._row(newest).get("holder") != self._holder:
            # The known version stays: a further attempt must not acquire a lease that was lost.
            return False
        self._table = newest
        return self._commit(holder, ended_at)


class SchemaChangeLock(LakeLease):
    """Exclude loads of other tenants while a load creates tables or columns."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, notify: Notify) -> None:
        super().__init__(pipeline, tenant, run_id, notify)
        self._name = "tables"

    def _running(self, holder: str) -> str:
        return f"Another load is making the tables of the lake ({holder})."
