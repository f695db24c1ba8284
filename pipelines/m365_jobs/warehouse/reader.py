"""Read the warehouse of any destination without writing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
from dlt.destinations.exceptions import (
    DatabaseTerminalException,
    DatabaseTransientException,
    DatabaseUndefinedRelation,
)

from m365_jobs import marts
from m365_jobs.errors.driver_messages import in_use, of_driver
from m365_jobs.warehouse import clients
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.target import Target, Warehouse
from m365_jobs.warehouse.versions import refuse_newer

POLL = 0.1
"""Seconds between two attempts to open a DuckDB file that a load has open."""


class SqlClient(Protocol):
    """Define what a reader needs of a connection; dlt's SQL clients have it."""

    def make_qualified_table_name(self, table_name: str) -> str:
        """Return the name with its dataset, quoted."""

    def execute_query(self, query: str, *args: Any) -> Any:
        """Return a context manager with a cursor. Parameters are ``%s``."""


class Reader:
    """Read the warehouse with SQL. Times come as datetimes in UTC."""

    def __init__(self, client: SqlClient, dialect: str) -> None:
        self._client = client
        self.dialect = dialect
        """sqlglot's name of the SQL that is spoken."""

    def table(self, name: str) -> str:
        """Return the qualified, quoted name of a table or view of the dataset."""
        return self._client.make_qualified_table_name(name)

    @contextmanager
    def cursor(self, sql: str, *parameters: Any) -> Iterator[Any]:
        """Yield a cursor with the answer, to be fetched from in parts. Parameters are written ``%s``.

        Raises:
            DestinationUndefinedEntity: where a table is not there.
            DatabaseException: for anything else that the destination refuses.
        """
        with self._client.execute_query(sql, *parameters) as cursor:
            yield cursor

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return the whole answer, a dictionary for each row; raise as ``cursor`` does."""
        with self.cursor(sql, *parameters) as cursor:
            names = [column[0] for column in cursor.description]
            return [
                {name: value_in_utc(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()
            ]


def value_in_utc(value: Any) -> Any:
    """Return a value unchanged, but a time with a zone in UTC: drivers return the session's or the server's."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def dialect(target: Target) -> str:
    """Return the name in sqlglot of the SQL that a reader of this warehouse uses, without a connection."""
    if kind_of(target).is_lake or warehouse.duckdb_file(target):
        return "duckdb"
    return str(target.destination.capabilities().sqlglot_dialect or "")


@contextmanager
def open_reader(target: Target) -> Iterator[Reader]:
    """Return a connection that cannot write.

    DuckDB files are opened read-only, a lake is read into DuckDB through Arrow. Other destinations are asked for a
    read-only session if they have such.

    Raises:
        DestinationUndefinedEntity: when something is asked of a warehouse that is not there yet.
        DatabaseException: where the destination cannot be reached or is locked.
        WarehouseError: if a newer version of this program has loaded into it.
    """
    with opener(target)() as reader:
        yield reader


def opener(target: Target) -> Callable[[], AbstractContextManager[Reader]]:
    """Return what ``open_reader`` does, for repeated use.

    Finding the kind of a warehouse is slower than many a question to it.
    """
    if kind_of(target).is_lake:
        return lambda: _lake(target)
    if file := warehouse.duckdb_file(target):
        return lambda: _of_file(file, target)
    return lambda: _of_server(target)


@contextmanager
def _of_file(file: Path, target: Target) -> Iterator[Reader]:
    with _opened(file, target) as connection:
        yield _of_our_version(Reader(_DuckDB(connection, target.dataset_name), "duckdb"))


@contextmanager
def _of_server(target: Target) -> Iterator[Reader]:
    opened: Any = target.sql_client()
    with ExitStack() as stack:
        try:
            client = stack.enter_context(opened)
        except Exception as error:
            if not of_driver(error):
                raise
            raise DatabaseTransientException(error) from error  # as what is refused later on would be
        kind_of(target).begin_reading(client)
        yield _of_our_version(Reader(client, client.capabilities.sqlglot_dialect or ""))


def _of_our_version(reader: Reader) -> Reader:
    refuse_newer(reader)
    return reader


@contextmanager
def open_in_load(target: Target, tables: Sequence[str] = (), tenant: str | None = None) -> Iterator[Reader]:
    """Return a reader for a load's own questions.

    A load has a DuckDB file open for writing, and DuckDB opens a file in one process either to read or to write. It
    raises as ``open_reader`` does. In a lake each table costs an opening: ``tables`` are those asked for, all if empty,
    and ``tenant`` is the only tenant asked for, all if unset.
    """
    if kind_of(target).is_lake:
        from m365_jobs.warehouse.destinations import lake_tables

        with duckdb.connect() as connection:
            # A load asks tables alone: translating the views takes longer than all of its questions.
            lake_tables.register_views(target, connection, tables, tenant)
            yield Reader(_DuckDB(connection, target.dataset_name), "duckdb")
    else:
        with clients.sql_client(target) as client:
            yield Reader(client, client.capabilities.sqlglot_dialect or "")


@contextmanager
def _lake(target: Target) -> Iterator[Reader]:
    # Arrow is a tenth of the start-up of a reader, and other destinations need none.
    from m365_jobs.warehouse.destinations import lake_tables

    with duckdb.connect() as connection:
        lake_tables.register_views(target, connection)
        marts.define(connection, target.dataset_name)
        yield _of_our_version(Reader(_DuckDB(connection, target.dataset_name), "duckdb"))


@contextmanager
def _opened(file: Path, target: Target) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file read-only; an empty database if there is none, since reading makes no file."""
    with _connected(file, target) as connection:
        # DuckDB keeps up to 128 MB that a query no longer needs, which the next one adds to.
        connection.execute("SET allocator_flush_threshold = '16MB'")
        yield connection


def _connected(file: Path, target: Target) -> duckdb.DuckDBPyConnection:
    """Return a connection, after the load that has the file open, if it ends within the wait of the target."""
    wait = target.wait if isinstance(target, Warehouse) else 0.0
    give_up, notified = time.monotonic() + wait, False
    while True:
        try:
            return duckdb.connect(str(file), read_only=True) if file.exists() else duckdb.connect()
        except duckdb.Error as error:
            if not in_use(error) or time.monotonic() >= give_up:
                raise DatabaseTerminalException(error) from error
        if isinstance(target, Warehouse) and not notified:
            target.notify(f"Another program has the warehouse open. Waiting for it (at most {wait:g} s).")
            notified = True
        time.sleep(POLL)


class _DuckDB:
    """Wrap a DuckDB connection of ours, with the interface and errors of dlt's SQL clients."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
        self._connection, self._dataset = connection, dataset
        connection.execute("SET TimeZone = 'UTC'")
        schemas = connection.execute("SELECT schema_name FROM information_schema.schemata").fetchall()
        if (dataset,) in schemas:
            connection.execute(f'USE "{dataset}"')
        # Neither files nor the network can be reached from here, and nothing said later changes that.
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")

    def make_qualified_table_name(self, table_name: str) -> str:
        return ".".join('"' + name.replace('"', '""') + '"' for name in (self._dataset, table_name))

    @contextmanager
    def execute_query(self, query: str, *args: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            yield self._connection.execute(query.replace("%s", "?") if args else query, args or None)
        except duckdb.CatalogException as error:
            raise DatabaseUndefinedRelation(error) from error
        except duckdb.Error as error:
            raise DatabaseTerminalException(error) from error
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            raise KeyboardInterrupt from error  # which is what it was
