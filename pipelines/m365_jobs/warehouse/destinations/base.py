"""Define what a load does differently from one kind of destination to another."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Describe a destination of dlt without known abilities: what works everywhere."""

    types: ClassVar[tuple[str, ...]] = ()
    """The last parts of dlt's types of destination that this class is for."""
    lease: ClassVar[str] = ""
    """Module and class of the leases that keep workers apart, as ``module:class``; empty without leases."""
    lease_table: ClassVar[str] = ""
    """Table of the dataset whose rows are the leases; empty where leases are kept elsewhere."""
    appends_first: ClassVar[bool] = False
    """Whether the first rows of a tenant are appended instead of merged: a commit is never in doubt, so dlt appends no
    file twice."""
    stays_connected: ClassVar[bool] = False
    """Whether a connection stays open while a load writes: it is the lock, or holds the locks."""
    is_lake: ClassVar[bool] = False
    """Whether tables are files, which dlt merges by key alone and readers open in DuckDB."""
    staging_datasets: ClassVar[int] = 0
    """Datasets over which the merges of tenants spread, so that these write side by side; 0 for dlt's own one."""
    empties_staging: ClassVar[bool] = False
    """Whether staging tables are emptied after each load: no other load uses them meanwhile."""
    changes_tenants: ClassVar[bool] = False
    """Whether a tenant can be renamed and removed with SQL."""
    forbidden_in_folder: ClassVar[str] = "%"
    """Characters that dlt's working folder must not have in its path: loads could not read their files."""

    def database_file(self, target: Target) -> Path | None:
        """Return the file that is the database; None if it is no file."""
        return None

    def local_path(self, target: Target) -> Path | None:
        """Return the file or folder that is the warehouse on this machine; None for a warehouse elsewhere."""
        return self.database_file(target)

    def refuse_paths(self, target: Target) -> None:
        """Refuse folders whose names a load would stumble over once it has read everything.

        Raises:
            UsageError: with the cure.
        """
        if signs := [sign for sign in self.forbidden_in_folder if sign in target.pipelines_dir]:
            raise UsageError(
                f"dlt's working folder {target.pipelines_dir} has the character {signs[0]} in its path, and loads "
                "cannot read their files there. Name another folder in DLT_DATA_DIR."
            )

    def begin_reading(self, client: Any) -> None:
        """Make the session of a connected client read-only, where the destination has such sessions."""

    def let_queries_be_stopped(self) -> None:
        """Make the driver wait for answers in a way that Ctrl+C interrupts."""

    def file_format(self, pipeline: dlt.Pipeline) -> Any:
        """Return what dlt writes Arrow tables as on their way: Parquet, or INSERT statements where preferred.

        For PostgreSQL dlt has two faster ways with faults. CSV turns empty texts into null, so it is chosen for tables
        without any. ADBC fails on a table without rows.
        """
        preferred = pipeline.destination.capabilities().preferred_loader_file_format
        return preferred if preferred == "insert_values" else "parquet"

    def adapt(self, resource: DltResource, pipeline: dlt.Pipeline) -> None:
        """Give a resource the hints that only this kind of destination needs."""

    def before_writing(self, pipeline: dlt.Pipeline) -> None:
        """Prepare the destination, before a load connects to it to write."""

    def before_checks(self, pipeline: dlt.Pipeline) -> None:
        """Prepare loaded tables for the data checks."""

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Do what makes reading fast, once the rows of a tenant are loaded."""

    def append_rows(self, pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
        """Append rows of the log tables, in the order of ``tables``; return false where a dlt run has to.

        Nothing is created, and rows whose key is stored are left out.
        """
        return sql_rows.insert_rows(pipeline, tables)
