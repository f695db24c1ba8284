"""Run one read-only query of the user on the warehouse, and yield its rows as they arrive.

The connection of the reader is read-only. This module refuses other statements as well. DuckDB and PostgreSQL parse the
text themselves; for other destinations sqlglot does, which is only a guard. Grant their database user read access only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from avepoint_m365.config import suggestion
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from sqlglot import exp
from sqlglot.errors import SqlglotError

from m365_jobs.config.environment import decode_text
from m365_jobs.errors.driver_messages import explain_driver_message
from m365_jobs.errors.exceptions import FAILED, WRONG_USAGE, QueryError
from m365_jobs.marts.catalog import TABLES, VIEWS
from m365_jobs.warehouse.reader import Reader, value_in_utc

BATCH = 10_000
"""The most rows that are in memory at once."""

Row = tuple[Any, ...]

READS = ("SELECT", "EXPLAIN", "MULTI")
"""DuckDB's kinds of statements that are allowed; MULTI is a PIVOT, which creates a type internally."""

HARMLESS = (
    *("random", "clock_timestamp", "timeofday", "gen_random_uuid", "pg_sleep"),
    *("pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size"),
)
"""Functions that PostgreSQL declares volatile although they have no side effect."""

SERVER_FILES = ("pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings")
"""Views of PostgreSQL that read files of the server."""

TO_XML = tuple(
    f"{kind}_to_xml{schema}" for kind in ("table", "schema", "database") for schema in ("", "_and_xmlschema")
)
"""Functions of PostgreSQL that read a relation named in a value, such as the views above."""

VOLATILE = """
SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p
WHERE p.provolatile = 'v' AND p.proname = ANY(%s) AND p.proname <> ALL(%s)
AND 'internal'::regtype <> ALL(p.proargtypes) AND p.prorettype <> 'internal'::regtype
"""

OPEN = """
DO $$DECLARE answer CONSTANT refcursor := 'm365_jobs_answer';
BEGIN OPEN answer NO SCROLL FOR EXECUTE current_setting('m365_jobs.query'); END$$
"""


@dataclass(frozen=True)
class QueryResult:
    """Hold the names of the columns, and the rows in batches of at most ``BATCH``. Times are in UTC."""

    columns: Sequence[str]
    batches: Iterator[list[Row]]


def read_query_file(path: Path) -> str:
    """Return the text of a query from a file in UTF-8, or in UTF-16, as PowerShell writes it.

    Raises:
        UsageError: for any other encoding.
    """
    return decode_text(path.read_bytes(), str(path))


SERVER_CODES = ("53", "57", "55P03", "40001")
"""Beginnings of PostgreSQL's codes for errors of the server: its resources, cancelled statements, locks, standbys."""


@contextmanager
def run_query(reader: Reader, sql: str) -> Iterator[QueryResult]:
    """Run one query and yield its result, whose rows must be read inside the block.

    Names without a schema are those of the dataset.

    Raises:
        QueryError: if the text is not one query, writes or reads files, or if the destination refuses it.
    """
    run = {"duckdb": _query_duckdb, "postgres": _query_postgres}.get(reader.dialect, _query_other)
    try:
        with run(reader, sql) as result:
            yield QueryResult(result.columns, _in_utc(result.batches))
    except DatabaseException as error:
        raise _explained(error) from error


@contextmanager
def _query_duckdb(reader: Reader, sql: str) -> Iterator[QueryResult]:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(_first_lines(error), FAILED) from error
    if len(statements) != 1:
        raise _not_one(len(statements))
    if (kind := _kind(statements[0])) not in READS:
        raise _not_read_only(kind)
    with reader.cursor(sql) as cursor:
        yield QueryResult([column[0] for column in cursor.description], _batches(lambda: cursor.fetchmany(BATCH)))


def _kind(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name).replace("_", " ")
    except ValueError:  # The Python client lacks a name for this kind.
        return "this"


@contextmanager
def _query_postgres(reader: Reader, sql: str) -> Iterator[QueryResult]:
    """Open a cursor for the text in a read-only transaction; PostgreSQL accepts only a single query for a cursor.

    A function may still have side effects or read the server's files. So names of volatile functions are refused
    anywhere in the text.
    """
    if re.search(r"u&\s*\"", sql, re.IGNORECASE):
        raise QueryError('Names written with Unicode escapes (U&"...") are not accepted.', WRONG_USAGE)
    words = sorted(set(re.findall(r"[\w$]+", sql.lower())))
    if reaching := {*SERVER_FILES, *TO_XML}.intersection(words):
        raise _not_read_only(min(reaching))
    if volatile := reader.rows(VOLATILE, words, list(HARMLESS)):
        name = volatile[0]["proname"]
        raise QueryError(
            f"Not run: PostgreSQL does not hold the function {name} to be free of side effects, and queries here are "
            "read-only. If it is yours and only reads, declare it STABLE.",
            WRONG_USAGE,
        )
    # The transaction ends with the connection, which serves one query. Ending it here could hide an error.
    _do(reader, "BEGIN TRANSACTION READ ONLY")
    _do(reader, "SELECT pg_catalog.set_config('m365_jobs.query', %s, true)", sql)
    _do(reader, "SET LOCAL cursor_tuple_fraction = 1")
    _do(reader, OPEN)
    columns, first = _fetch(reader)
    yield QueryResult(columns, _batches(lambda: _fetch(reader)[1], first))


def _do(reader: Reader, sql: str, *parameters: Any) -> None:
    with reader.cursor(sql, *parameters):
        pass


def _fetch(reader: Reader) -> tuple[list[str], list[Row]]:
    with reader.cursor(f"FETCH {BATCH} FROM m365_jobs_answer") as cursor:
        return [column[0] for column in cursor.description], cursor.fetchall()


@contextmanager
def _query_other(reader: Reader, sql: str) -> Iterator[QueryResult]:
    with reader.cursor(checked_sql(reader, sql)) as cursor:
        yield QueryResult([column[0] for column in cursor.description], _batches(lambda: cursor.fetchmany(BATCH)))


def checked_sql(reader: Reader, sql: str) -> str:
    """Return a query with unqualified names put into the dataset, for destinations other than DuckDB and PostgreSQL.

    Raises:
        QueryError: if the text is not a single query, or does not only read.
    """
    from sqlglot.optimizer.scope import traverse_scope

    try:
        statements = [statement for statement in sqlglot.parse(sql, read=reader.dialect) if statement is not None]
    except SqlglotError as error:
        raise QueryError(_first_lines(error), FAILED) from error
    if len(statements) != 1:
        raise _not_one(len(statements))
    query = statements[0]
    if not isinstance(query, exp.Query) or any(query.find_all(exp.DML, exp.Into, exp.Lock, exp.Command)):
        raise _not_read_only(query.key.upper())
    for scope in traverse_scope(query):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and source.name and not source.db:
                table = exp.to_table(reader.table(source.name), dialect=reader.dialect)
                for part in ("this", "db", "catalog"):
                    source.set(part, table.args.get(part))
    return query.sql(reader.dialect)


def _batches(fetch: Callable[[], list[Row]], first: list[Row] | None = None) -> Iterator[list[Row]]:
    rows = fetch() if first is None else first
    while rows:
        yield rows
        rows = fetch()


def _in_utc(batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    for rows in batches:
        yield [tuple(value_in_utc(value) for value in row) for row in rows]


def _not_one(count: int) -> QueryError:
    problem = "There is no query" if count == 0 else f"There are {count} statements"
    return QueryError(f"{problem}: give one, which is then run.", WRONG_USAGE)


def _not_read_only(kind: str) -> QueryError:
    return QueryError(f"Not run: queries are read-only here, and {kind} is not.", WRONG_USAGE)


def _explained(error: DatabaseException) -> QueryError:
    """Return the destination's message without its echo of the query."""
    text = _first_lines(error)
    if _is_refusal(error.dbapi_exception):
        rule = "queries are read-only here, and reach nothing but the warehouse"
        return QueryError(f"Not run: {rule}. {text}", WRONG_USAGE)
    if isinstance(error, DatabaseUndefinedRelation):
        text = _missing_table(text)
    code = getattr(error.dbapi_exception, "pgcode", "")
    # PostgreSQL has a code for each error of a query; without a code the driver raised the error.
    if code is None or code.startswith(SERVER_CODES):
        text = explain_driver_message(text)
    return QueryError(text, FAILED)


def _missing_table(text: str) -> str:
    """Return the text for a table that the destination does not find, in place of the destination's ``text``."""
    known = (*TABLES, *VIEWS)
    named = re.search(r"with name (.+?) does not exist|relation \"([^\"]+)\" does not exist", text)
    if not named:
        return f"{text} The first load makes {', '.join(known)}."
    # DuckDB leaves out the schema of the query.
    name = (named[1] or named[2]).rpartition(".")[2].strip('"')
    if name.lower() in known:
        return f"Table not found: {name}. The first load (m365-jobs load) makes it in the dataset."
    hint = suggestion(name, known) or f" Known are: {', '.join(known)}."
    return f"Table not found: {name}.{hint}"


def _is_refusal(cause: Exception) -> bool:
    if isinstance(cause, duckdb.Error):
        return isinstance(cause, duckdb.PermissionException) or "read-only mode" in str(cause)
    # The codes of a statement that writes, and of several statements for one cursor.
    return getattr(cause, "pgcode", None) in ("25006", "42P11")


def _first_lines(error: BaseException) -> str:
    text = re.split(r"\n\s*(?:LINE \d+:|QUERY:|CONTEXT:)", str(error))[0]
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
