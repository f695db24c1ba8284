"""Define the differences between kinds of destinations: capabilities, and hooks of a load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dlt
from dlt.extract import DltResource

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse.destinations import sql_rows
from m365_jobs.warehouse.destinations.log_rows import Row

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target


class WarehouseDestination:
    """Describe a destination of dlt with the capabilities that all destinations have."""

    types: ClassVar[tuple[str, ...]] = ()
    """Last parts of dlt's destination types that this class describes."""
    lease: ClassVar[str] = ""
    """Module and class of its leases, as ``module:class``; empty without leases."""
    lease_table: ClassVar[str] = ""
    """Table of the dataset that stores the leases; empty if they are stored elsewhere."""
    appends_first_load: ClassVar[bool] = False
    """Whether a tenant's first rows are appended instead of merged. It needs commits whose success is always known;
    otherwise dlt could append a file twice."""
    keeps_connection: ClassVar[bool] = False
    """Whether a connection stays open while a load writes: it is the lock, or holds the locks."""
    is_lake: ClassVar[bool] = False
    """Whether tables are files, which dlt merges by key only and readers open in DuckDB."""
    staging_datasets: ClassVar[int] = 0
    """Number of staging datasets over which tenants are spread, to write in parallel; 0 for dlt's single one."""
    truncates_staging: ClassVar[bool] = False
    """Whether staging tables are truncated after each load; no other load may use them at that time."""
    changes_tenants: ClassVar[bool] = False
    """Whether a tenant can be renamed and removed with SQL."""
    forbidden_in_folder: ClassVar[str] = "%"
    """Characters that the path of dlt's working folder must not contain, since loads could not read their files."""

    def database_file(self, target: Target) -> Path | None:
        """Return the file of the database; None if the database is no file."""
        return None

    def lacks_file(self, target: Target) -> bool:
        """Return whether the database is a file that does not exist yet; connecting would create it."""
        file = self.database_file(target)
        return file is not None and not file.exists()

    def can_create(self, pipeline: Target) -> bool:
        """Return whether the database is a missing file that the first rows can create; false to refuse it earlier."""
        return False

    def local_path(self, target: Target) -> Path | None:
        """Return the file or folder of the warehouse; None if it is not on this machine."""
        return self.database_file(target)

    def refuse_paths(self, target: Target) -> None:
        """Refuse folders with characters that would make a load fail after it has read everything.

        Raises:
            UsageError: with the cure.
        """
        if signs := [sign for sign in self.forbidden_in_folder if sign in target.pipelines_dir]:
            raise UsageError(
                f"dlt's working folder {target.pipelines_dir} has the character {signs[0]} in its path, and loads "
                "cannot read their files there. Name another folder in DLT_DATA_DIR."
            )

    def complete(self, config: Any) -> None:
        """Add what a resolved configuration of a client lacks."""

    def begin_reading(self, client: Any) -> None:
        """Make the session of a connected client read-only, if the destination supports that."""

    def make_queries_interruptible(self) -> None:
        """Make the driver wait for results in a way that Ctrl+C interrupts."""

    def file_format(self, pipeline: dlt.Pipeline) -> Any:
        """Return the file format in which dlt stages Arrow tables: INSERT statements if dlt prefers them, or Parquet.

        dlt has two faster formats for PostgreSQL. CSV converts empty texts to null, so it is used for tables without
        any. ADBC fails on a table without rows.
        """
        preferred = pipeline.destination.capabilities().preferred_loader_file_format
        return preferred if preferred == "insert_values" else "parquet"

    def adapt(self, resource: DltResource, pipeline: dlt.Pipeline) -> None:
        """Add the hints to a resource that only this kind of destination needs."""

    def before_resuming(self, pipeline: dlt.Pipeline, load_id: str, tables: Iterable[str]) -> None:
        """Delete what an interrupted package has stored in tables whose file dlt loads now, possibly once more.

        dlt repeats a file if the load was killed after the commit. PostgreSQL refuses a second row with the same
        ``_dlt_id``, and the package would fail each time.
        """
        sql_rows.delete_package(pipeline, load_id, tables)

    def before_writing(self, pipeline: Target) -> None:
        """Prepare the destination before a load connects to write."""

    def before_checks(self, pipeline: dlt.Pipeline) -> None:
        """Prepare loaded tables for the data checks."""

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Create indexes or compact files after the rows of a tenant are loaded."""

    def append_rows(self, pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
        """Append rows of the log tables, in the order of ``tables``; return false if a dlt run has to write them.

        Nothing is created, and rows whose key is stored are left out.
        """
        return sql_rows.insert_rows(pipeline, tables)
