"""Run SQL of the user on the warehouse: one query, read-only in any spelling, with rows passed on as they arrive.

The connection of the reader cannot write. What remains is refused here. DuckDB and PostgreSQL decide by their own
parsing of the text, other destinations by sqlglot's, which is only a guard. Give the user of the destination the right
to read and no other.
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
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from sqlglot import exp
from sqlglot.errors import SqlglotError

from m365_jobs.config.environment import decode_text
from m365_jobs.errors.driver_messages import explain_driver_message
from m365_jobs.errors.explain import FAILED, WRONG_USAGE, QueryError
from m365_jobs.marts import TABLES, VIEWS
from m365_jobs.warehouse.reader import Reader, value_in_utc

BATCH = 10_000
"""Rows that are held at once."""

Row = tuple[Any, ...]

READS = ("SELECT", "EXPLAIN", "MULTI")
"""Kinds of statements that DuckDB may be given; MULTI is a PIVOT, which makes a type for itself on the way."""

HARMLESS = (
    *("random", "clock_timestamp", "timeofday", "gen_random_uuid", "pg_sleep"),
    *("pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size"),
)
"""Functions that PostgreSQL holds to be volatile though they touch nothing."""

SERVER_FILES = ("pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings")
"""Views of PostgreSQL that show files of the server."""

TO_XML = tuple(
    f"{what}_to_xml{schema}" for what in ("table", "schema", "database") for schema in ("", "_and_xmlschema")
)
"""Functions of PostgreSQL that read whatever a value names, such as the views above: no name in the text shows it."""

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
    """Hold names of columns, and rows in parts of at most ``BATCH``. Times are in UTC."""

    columns: Sequence[str]
    batches: Iterator[list[Row]]


def from_file(path: Path) -> str:
    """Return the text of a query in UTF-8, or in UTF-16, as PowerShell writes it.

    Raises:
        UsageError: for any other encoding.
    """
    return decode_text(path.read_bytes(), str(path))


@contextmanager
def answer(reader: Reader, sql: str) -> Iterator[QueryResult]:
    """Run one query; names without a schema mean the dataset. Rows can be read inside the block.

    Raises:
        QueryError: where it is not one query, would write or reach for files, or is refused by the destination.
    """
    ask = {"duckdb": _ask_duckdb, "postgres": _ask_postgres}.get(reader.dialect, _ask_other)
    try:
        with ask(reader, sql) as result:
            yield QueryResult(result.columns, _in_utc(result.batches))
    except DatabaseException as error:
        raise _explained(error) from error


@contextmanager
def _ask_duckdb(reader: Reader, sql: str) -> Iterator[QueryResult]:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(_first_lines(error), FAILED) from error
    if len(statements) != 1:
        raise _not_one(len(statements))
    if (kind := _kind(statements[0])) not in READS:
        raise _not_read_only(kind)
    with reader.cursor(sql) as cursor:
        yield QueryResult([column[0] for column in cursor.description], _fetched(lambda: cursor.fetchmany(BATCH)))


def _kind(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name).replace("_", " ")
    except ValueError:  # a kind that the Python client has no name for
        return "this"


@contextmanager
def _ask_postgres(reader: Reader, sql: str) -> Iterator[QueryResult]:
    """Make the server open a cursor on the text, in a transaction that cannot write.

    The server does so for a single query only. A function may still do anything, for example read the server's files.
    So functions that the server does not declare free of side effects are refused anywhere in the text.
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
    # It ends with the connection, which is there for one query; to end it here might hide what went wrong.
    _do(reader, "BEGIN TRANSACTION READ ONLY")
    _do(reader, "SELECT pg_catalog.set_config('m365_jobs.query', %s, true)", sql)
    _do(reader, "SET LOCAL cursor_tuple_fraction = 1")
    _do(reader, OPEN)
    columns, first = _fetch(reader)
    yield QueryResult(columns, _fetched(lambda: _fetch(reader)[1], first))


def _do(reader: Reader, sql: str, *parameters: Any) -> None:
    with reader.cursor(sql, *parameters):
        pass


def _fetch(reader: Reader) -> tuple[list[str], list[Row]]:
    with reader.cursor(f"FETCH {BATCH} FROM m365_jobs_answer") as cursor:
        return [column[0] for column in cursor.description], cursor.fetchall()


@contextmanager
def _ask_other(reader: Reader, sql: str) -> Iterator[QueryResult]:
    with reader.cursor(checked(reader, sql)) as cursor:
        yield QueryResult([column[0] for column in cursor.description], _fetched(lambda: cursor.fetchmany(BATCH)))


def checked(reader: Reader, sql: str) -> str:
    """Return the query with names that have no schema put into the dataset, for destinations other than those two.

    Raises:
        QueryError: where it is not a single query, or not one that only reads.
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
                place = exp.to_table(reader.table(source.name), dialect=reader.dialect)
                for part in ("this", "db", "catalog"):
                    source.set(part, place.args.get(part))
    return query.sql(reader.dialect)


def _fetched(fetch: Callable[[], list[Row]], first: list[Row] | None = None) -> Iterator[list[Row]]:
    rows = fetch() if first is None else first
    while rows:
        yield rows
        rows = fetch()


def _in_utc(batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    for rows in batches:
        yield [tuple(value_in_utc(value) for value in row) for row in rows]


def _not_one(count: int) -> QueryError:
    what = "There is no query" if count == 0 else f"There are {count} statements"
    return QueryError(f"{what}: give one, which is then run.", WRONG_USAGE)


def _not_read_only(what: str) -> QueryError:
    return QueryError(f"Not run: queries are read-only here, and {what} is not.", WRONG_USAGE)


def _explained(error: DatabaseException) -> QueryError:
    """Return the destination's message without what it adds about our request."""
    text = _first_lines(error)
    if _is_refusal(error.dbapi_exception):
        what = "queries are read-only here, and reach nothing but the warehouse"
        return QueryError(f"Not run: {what}. {text}", WRONG_USAGE)
    if isinstance(error, DatabaseUndefinedRelation):
        text += f" The first load makes {', '.join((*TABLES, *VIEWS))}."
    if getattr(error.dbapi_exception, "pgcode", "") is None:
        # PostgreSQL has a code for whatever it says of a query; without one, there was no server to say it.
        text = explain_driver_message(text)
    return QueryError(text, FAILED)


def _is_refusal(cause: Exception) -> bool:
    if isinstance(cause, duckdb.Error):
        return isinstance(cause, duckdb.PermissionException) or "read-only mode" in str(cause)
    # A statement that writes, or several, where a cursor was to be opened.
    return getattr(cause, "pgcode", None) in ("25006", "42P11")


def _first_lines(error: BaseException) -> str:
    text = re.split(r"\n\s*(?:LINE \d+:|QUERY:|CONTEXT:)", str(error))[0]
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
