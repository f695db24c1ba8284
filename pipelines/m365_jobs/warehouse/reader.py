"""Read the warehouse of any destination through a connection that cannot write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import duckdb
from avepoint_m365.futures import result_of, start
from dlt.destinations.exceptions import (
    DatabaseTerminalException,
    DatabaseTransientException,
    DatabaseUndefinedRelation,
)

from m365_jobs import marts
from m365_jobs.errors.driver_messages import in_use, of_driver
from m365_jobs.waiting import POLL, retry_while
from m365_jobs.warehouse import clients
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.target import Target, Warehouse, duckdb_file
from m365_jobs.warehouse.versions import refuse_newer

T = TypeVar("T")


class SqlClient(Protocol):
    """Define the methods of a connection that a reader needs; dlt's SQL clients have them."""

    def make_qualified_table_name(self, table_name: str) -> str:
        """Return the name with its dataset, quoted."""

    def execute_query(self, query: str, *args: Any) -> Any:
        """Return a context manager with a cursor. Parameters are ``%s``."""


class Reader:
    """Read the warehouse with SQL. Times come as datetimes in UTC."""

    def __init__(self, client: SqlClient, dialect: str) -> None:
        self._client = client
        self.dialect = dialect
        """sqlglot's name of the dialect."""

    def table(self, name: str) -> str:
        """Return the qualified, quoted name of a table or view of the dataset."""
        return self._client.make_qualified_table_name(name)

    @contextmanager
    def cursor(self, sql: str, *parameters: Any) -> Iterator[Any]:
        """Yield a cursor with the result of a query. Parameters are written ``%s``.

        Raises:
            DestinationUndefinedEntity: if a table does not exist.
            DatabaseException: if the destination refuses the query for another reason.
        """
        with self._client.execute_query(sql, *parameters) as cursor:
            yield cursor

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return all rows as dictionaries, with times in UTC; raise the errors of ``cursor``."""
        with self.cursor(sql, *parameters) as cursor:
            names = [column[0] for column in cursor.description]
            return [
                {name: value_in_utc(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()
            ]


def value_in_utc(value: Any) -> Any:
    """Return a time with a zone in UTC: drivers use the session's or server's zone. Other values stay unchanged."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def dialect(target: Target) -> str:
    """Return sqlglot's name of the dialect of a warehouse's readers, without connecting."""
    if kind_of(target).is_lake or duckdb_file(target):
        return "duckdb"
    return str(target.destination.capabilities().sqlglot_dialect or "")


@contextmanager
def open_reader(target: Target) -> Iterator[Reader]:
    """Yield a reader of the warehouse.

    DuckDB files are opened read-only, and a lake is read through Arrow in DuckDB. On other destinations the session is
    read-only if they support that.

    Raises:
        DatabaseException: if the destination cannot be reached or is locked.
        WarehouseError: if a newer version of this program has loaded into it.
    """
    with opener(target)() as reader:
        yield reader


def opener(target: Target) -> Callable[[], AbstractContextManager[Reader]]:
    """Return a function that opens a reader as ``open_reader`` does.

    It finds the kind of the warehouse once, which is slower than many queries.
    """
    if kind_of(target).is_lake:
        return lambda: _lake(target)
    if file := duckdb_file(target):
        return lambda: _of_file(file, target)
    return lambda: _of_server(target)


@contextmanager
def _of_file(file: Path, target: Target) -> Iterator[Reader]:
    with _connected(file, target) as connection:
        # DuckDB keeps up to 128 MB of freed memory, and the next query allocates more.
        connection.execute("SET allocator_flush_threshold = '16MB'")
        yield _compatible(Reader(_DuckDB(connection, target.dataset_name), "duckdb"))


@contextmanager
def _of_server(target: Target) -> Iterator[Reader]:
    opened: Any = target.sql_client()
    with ExitStack() as stack:
        try:
            client = stack.enter_context(opened)
        except Exception as error:
            if not of_driver(error):
                raise
            raise DatabaseTransientException(error) from error  # The type of error that a refused query raises.
        kind_of(target).begin_reading(client)
        yield _compatible(Reader(client, client.capabilities.sqlglot_dialect or ""))


def _compatible(reader: Reader) -> Reader:
    refuse_newer(reader)
    return reader


@contextmanager
def open_in_load(target: Target, tables: Sequence[str] = (), tenant: str | None = None) -> Iterator[Reader]:
    """Yield a reader for the queries of a load, in which a DuckDB file is open for writing.

    DuckDB opens a file in one process either to read or to write.

    Args:
        target: The warehouse.
        tables: The tables of a lake to open, since each costs time; all if empty.
        tenant: The only tenant of a lake to read; all if unset.

    Raises:
        DatabaseException: if the destination cannot be reached or is locked.
    """
    if kind_of(target).is_lake:
        from m365_jobs.warehouse.destinations import lake_tables

        with duckdb.connect() as connection:
            # A load queries tables only: translating the views lasts longer than all its queries.
            lake_tables.register_views(target, connection, tables, tenant)
            yield Reader(_DuckDB(connection, target.dataset_name), "duckdb")
    else:
        with clients.sql_client(target) as client:
            yield Reader(client, client.capabilities.sqlglot_dialect or "")


@contextmanager
def _lake(target: Target) -> Iterator[Reader]:
    # Imported here: Arrow is a tenth of a reader's start, and other destinations do not need it.
    from m365_jobs.warehouse.destinations import lake_tables

    with duckdb.connect() as connection:
        lake_tables.register_views(target, connection)
        marts.create_views(connection, target.dataset_name)
        yield _compatible(Reader(_DuckDB(connection, target.dataset_name), "duckdb"))


def _connected(file: Path, target: Target) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to a DuckDB file; wait for a load that has it open, as long as the target allows.

    Without a file it is to an empty database, so that reading creates no file.
    """

    def attempt() -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(file), read_only=True) if file.exists() else duckdb.connect()

    def announce(_error: Exception) -> None:
        if isinstance(target, Warehouse):
            target.notify(f"Another program has the warehouse open. Waiting for it (at most {target.wait:g} s).")

    try:
        return retry_while(in_use, attempt, target.wait if isinstance(target, Warehouse) else 0.0, announce)
    except duckdb.Error as error:
        raise DatabaseTerminalException(error) from error


class _DuckDB:
    """Wrap a DuckDB connection with the interface and errors of dlt's SQL clients."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
        self._connection, self._dataset = connection, dataset
        connection.execute("SET TimeZone = 'UTC'")
        schemas = connection.execute("SELECT schema_name FROM information_schema.schemata").fetchall()
        if (dataset,) in schemas:
            connection.execute(f'USE "{dataset}"')
        # Queries can reach neither files nor the network, and cannot change these settings.
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")

    def make_qualified_table_name(self, table_name: str) -> str:
        return ".".join('"' + name.replace('"', '""') + '"' for name in (self._dataset, table_name))

    @contextmanager
    def execute_query(self, query: str, *args: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            text = query.replace("%s", "?") if args else query
            yield _interruptible(self._connection, lambda: self._connection.execute(text, args or None))
        except duckdb.CatalogException as error:
            raise DatabaseUndefinedRelation(error) from error
        except duckdb.Error as error:
            raise DatabaseTerminalException(error) from error
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            raise KeyboardInterrupt from error  # DuckDB reports Ctrl+C as a RuntimeError.


def _interruptible(connection: duckdb.DuckDBPyConnection, execute: Callable[[], T]) -> T:
    """Return the result of ``execute``, which runs in a thread: a query of DuckDB overlooks many signals."""
    answer = start(execute)
    try:
        return result_of(answer)
    finally:
        # A query that has not begun yet overlooks the first interruption. Python must not end before the thread.
        while not answer.done():
            connection.interrupt()
            wait([answer], POLL)
