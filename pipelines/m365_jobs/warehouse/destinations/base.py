"""Define what a load does differently from one kind of destination to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dlt
from dlt.extract import DltResource

from m365_jobs.warehouse.destinations import sql_rows
from m365_jobs.warehouse.destinations.log_rows import Row


class WarehouseDestination:
    """Describe a destination of dlt without known abilities: what works everywhere."""

    types: ClassVar[tuple[str, ...]] = ()
    """The last parts of dlt's types of destination that this class is for."""
    lease: ClassVar[str] = ""
    """Module and class of the leases that keep workers apart, as ``module:class``; empty without leases."""
    stays_connected: ClassVar[bool] = False
    """Whether a connection stays open while a load writes: it is the lock, or holds the locks."""

    def file_format(self, pipeline: dlt.Pipeline) -> Any:
        """Return what dlt writes Arrow tables as on their way: Parquet, or INSERT statements where preferred.

        For PostgreSQL dlt has two faster ways, which do harm: CSV turns empty texts into nulls, and ADBC fails on a
        table without rows.
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
