"""Locate the warehouse: destination, dataset and local paths, the same for loads and for readers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.schema import SCHEMA
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.destinations.address import configured_address
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.factory import dataset_name, destination_factory, destination_name

DATASET = "m365_jobs"

READER_WAIT = 30.0
"""Seconds for which a reader waits while a load writes into a DuckDB file."""


class Target(Protocol):
    """Define what is needed to connect to a warehouse; a dlt pipeline has it, and so has ``Warehouse``."""

    dataset_name: str
    pipelines_dir: str

    @property
    def destination(self) -> Any:
        """Return dlt's factory of the destination."""

    def sql_client(self) -> Any:
        """Return a client for SQL, not connected yet."""

    def destination_client(self) -> Any:
        """Return a client for all that a destination can do, not connected yet."""


@dataclass(eq=False)
class Warehouse:
    """Locate the warehouse for a reader, without a pipeline's folder: a load may be using that."""

    destination: Any
    dataset_name: str
    wait: float = READER_WAIT
    """Seconds to wait for a load that has a DuckDB file open."""
    notify: Notify = lambda _: None
    """Called once with a line for the user when that wait begins."""
    pipelines_dir: str = field(default_factory=get_dlt_pipelines_dir)
    """Folder of this machine's pipelines, which keeps the unsent rows of failed runs."""

    def sql_client(self) -> Any:
        """Return a client for SQL, not connected yet."""
        return self._dataset().sql_client

    def destination_client(self) -> Any:
        """Return a client for all that the destination can do, not connected yet."""
        return self._dataset().destination_client

    def _dataset(self) -> dlt.Dataset:
        # A new dataset for each client: dlt's datasets are not thread-safe.
        return dlt.dataset(self.destination, self.dataset_name, schema=dlt.Schema(SCHEMA))


def open_warehouse(
    destination: str | None = None,
    dataset: str | None = None,
    wait: float = READER_WAIT,
    notify: Notify = lambda _: None,
) -> Warehouse:
    """Return the configured warehouse for a reader, without connecting.

    Args:
        destination: The name of a dlt destination; the configured one if unset.
        dataset: The dataset; ``m365_jobs`` if unset.
        wait: Seconds to wait for a load that has a DuckDB file open.
        notify: Called once with a line for the user when that wait begins.

    Raises:
        UsageError: for an unknown destination, or a DuckDB file with the name of the dataset.
    """
    factory = destination_factory(destination_name(destination))
    warehouse = Warehouse(factory, dataset_name(factory, dataset or DATASET), wait, notify)
    refuse_ambiguous_name(warehouse)
    return warehouse


def refuse_ambiguous_name(target: Target) -> None:
    """Refuse a DuckDB file with the name of the dataset: ``name.table`` would be ambiguous.

    Raises:
        UsageError: with the cure.
    """
    file = duckdb_file(target)
    if file and file.stem.lower() == target.dataset_name.lower():
        raise UsageError(
            f"The file {file} has the name of the dataset {target.dataset_name}, and DuckDB cannot tell one from the "
            "other. Rename the file in destination.duckdb.credentials, or name another dataset with --dataset."
        )


def address_of(target: Target) -> str:
    """Return the address of the warehouse without secrets: a file, or the destination with its host and database.

    It needs no connection, so it works for a destination that is down.
    """
    if file := duckdb_file(target):
        return str(file)
    address = configured_address(target)
    parts = "/".join(part for part in (address.host, address.database) if part)
    return f"{target.destination.destination_name} {parts}".strip()


def duckdb_file(target: Target) -> Path | None:
    """Return the file of a DuckDB warehouse; None for any other destination."""
    return kind_of(target).database_file(target)


def lacks_file(target: Target) -> bool:
    """Return whether the warehouse is a DuckDB file that does not exist yet; connecting would create it."""
    return kind_of(target).lacks_file(target)


def fingerprint(target: Target) -> str:
    """Return a name that identifies a warehouse without revealing its address."""
    return hashlib.sha256(f"{address_of(target)}\n{target.dataset_name}".encode()).hexdigest()[:16]
