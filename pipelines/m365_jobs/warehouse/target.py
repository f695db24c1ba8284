"""Locate the warehouse: destination, dataset and local paths, the same for loads and for readers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from m365_jobs.errors.exceptions import UsageError
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


def is_lake(target: Target) -> bool:
    """Return whether loads write files rather than into a database."""
    return str(target.destination.destination_type).endswith(".filesystem")


def refuse_unusable_paths(target: Target) -> None:
    """Refuse folders whose names a load would stumble over once it has read everything.

    Raises:
        UsageError: with the cure.
    """
    is_duckdb = target.destination.destination_type.endswith(".duckdb")
    if signs := [sign for sign in ("%", "'" if is_duckdb else "%") if sign in target.pipelines_dir]:
        raise UsageError(
            f"dlt's working folder {target.pipelines_dir} has the character {signs[0]} in its path, and loads cannot "
            "read their files there. Name another folder in DLT_DATA_DIR."
        )
    if is_lake(target):
        # dlt makes an address of a path: file:///lake/50%25%20done.
        place = urlsplit(_configured_place(target).host or "")
        path = unquote(place.path)
        # Delta decodes a path once more than dlt encodes it: %20 would become a blank.
        if place.scheme == "file" and (forbidden := re.search(r"[\[\]]|%[0-9A-Fa-f]{2}", path)):
            raise UsageError(
                f"The lake's path {path} holds {forbidden[0]}, which Delta tables cannot have. Name another folder in "
                f"destination.{target.destination.destination_name}.bucket_url."
            )


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
    place = _configured_place(target)
    parts = "/".join(part for part in (place.host, place.database) if part)
    return f"{target.destination.destination_name} {parts}".strip()


def duckdb_file(target: Target) -> Path | None:
    """Return the file of a DuckDB warehouse; None for any other destination."""
    if not target.destination.destination_type.endswith(".duckdb"):
        return None
    credentials = target.destination.config_params.get("credentials")
    known = isinstance(credentials, DuckDbCredentials)
    database: Any = credentials.database if known else _configured_place(target).database
    return Path(database) if isinstance(database, str) and not database.startswith(":") else None


def local_path(target: Target) -> Path | None:
    """Return the DuckDB file, or the folder of a lake on this machine; None for a warehouse elsewhere."""
    if file := duckdb_file(target):
        return file
    if not target.destination.destination_type.endswith(".filesystem"):
        return None
    config = target.destination_client().config
    return Path(config.make_local_path(config.bucket_url)) if config.is_local_filesystem else None


@dataclass(frozen=True)
class _Place:
    """Hold where a destination is: only what cannot contain a password."""

    host: str | None
    database: str | None


def _configured_place(target: Target) -> _Place:
    """Return what dlt resolved of a destination. It is kept, since dlt needs ten milliseconds for it.

    dlt's configuration itself is not kept. It holds an exception whose frames hold the target, so the dictionary would
    keep every load of a process, with its connections.
    """
    place = _places.get(target)
    if place is None:
        config = target.destination_client().config
        credentials = getattr(config, "credentials", None)
        host = getattr(config, "bucket_url", None) or getattr(credentials, "host", None)
        database = getattr(credentials, "database", None)
        place = _places[target] = _Place(*(str(part) if part else None for part in (host, database)))
    return place


_places: WeakKeyDictionary[Target, _Place] = WeakKeyDictionary()


def fingerprint(target: Target) -> str:
    """Return a name that tells one warehouse from another without revealing its place."""
    return hashlib.sha256(f"{address_of(target)}\n{target.dataset_name}".encode()).hexdigest()[:16]
