"""Locate the warehouse: destination, dataset and local paths, the same for loads and for readers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.destinations.place import configured_place
from m365_jobs.warehouse.factory import dataset_name, destination_factory, destination_name

DATASET = "m365_jobs"

READER_WAIT = 30.0
"""Seconds for which a reader waits while a load writes into a DuckDB file."""


Notify = Callable[[str], None]


class Target(Protocol):
    """Describe a warehouse that can be connected to; a pipeline of dlt is one, and so is ``Warehouse``."""

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
    """Open the warehouse for a reader without a pipeline's folder, since a load may be working in it."""

    destination: Any
    dataset_name: str
    wait: float = READER_WAIT
    """Seconds to wait for a load that has a DuckDB file open."""
    notify: Notify = lambda _: None
    """Called once with a line for the user when that wait begins."""
    pipelines_dir: str = field(default_factory=get_dlt_pipelines_dir)
    """Folder of the loads of this machine, in which failed runs wait for a destination that was down."""

    def sql_client(self) -> Any:
        """Return a client for SQL, not connected yet."""
        return self._dataset().sql_client

    def destination_client(self) -> Any:
        """Return a client for all that the destination can do, not connected yet."""
        return self._dataset().destination_client

    def _dataset(self) -> dlt.Dataset:
        # A new one for each client: dlt's are not for several threads.
        return dlt.dataset(self.destination, self.dataset_name, schema=dlt.Schema("avepoint_m365"))


def open_warehouse(
    destination: str | None = None,
    dataset: str | None = None,
    wait: float = READER_WAIT,
    notify: Notify = lambda _: None,
) -> Warehouse:
    """Return the warehouse for reading; nothing is connected to yet.

    Raises:
        UsageError: for an unknown destination, or a DuckDB file with the name of the dataset.
    """
    factory = destination_factory(destination_name(destination))
    warehouse = Warehouse(factory, dataset_name(factory, dataset or DATASET), wait, notify)
    refuse_one_name_for_two(warehouse)
    return warehouse


def refuse_one_name_for_two(target: Target) -> None:
    """Refuse a DuckDB file with the name of the dataset: ``name.table`` would mean either.

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
    """Return the place of the warehouse without secrets: a file, or the destination, its host and its database.

    Nothing is connected to, so it works for a destination that is down.
    """
    if file := duckdb_file(target):
        return str(file)
    place = configured_place(target)
    parts = "/".join(part for part in (place.host, place.database) if part)
    return f"{target.destination.destination_name} {parts}".strip()


def duckdb_file(target: Target) -> Path | None:
    """Return the file of a DuckDB warehouse; None for any other destination."""
    return kind_of(target).database_file(target)


def fingerprint(target: Target) -> str:
    """Return a name that tells one warehouse from another without revealing its place."""
    return hashlib.sha256(f"{address_of(target)}\n{target.dataset_name}".encode()).hexdigest()[:16]
