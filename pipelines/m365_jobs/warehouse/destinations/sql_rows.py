"""Write to SQL destinations without dlt: insert rows of the log tables, and delete old copies of dlt's state."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import dlt
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs.schema import SCHEMA
from m365_jobs.warehouse import clients
from m365_jobs.warehouse.destinations.log_rows import Row, known_columns, new_rows, row_key, with_dlt_columns

T = TypeVar("T")

PARAMETERS = 1_000
"""The most values of one statement; SQL Server accepts 2,100."""

KEEP_STATES = 100
"""Number of newest copies of a pipeline's state that stay; dlt keeps as many in a lake."""


def insert_rows(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
    """Insert rows in one transaction, with their row of ``_dlt_loads``.

    Rows whose key is stored are left out. If a table or a column is missing, nothing is written; return false then.
    """
    load_id = str(time.time())
    try:
        with clients.sql_client(pipeline) as client, _transaction(client):
            stored = {name: _stored_rows(client, name, rows) for name, rows in tables.items()}
            for name, rows in tables.items():
                if not known_columns(rows) <= stored[name].columns:
                    return False
                _insert(
                    client,
                    name,
                    with_dlt_columns(new_rows(name, rows, stored[name].keys), stored[name].columns, load_id),
                )
            _insert(client, "_dlt_loads", [_load(pipeline, load_id)])
    except (SqlClientNotAvailable, DatabaseUndefinedRelation):
        return False
    return True


def prune_states(pipeline: dlt.Pipeline) -> None:
    """Delete old copies of the pipeline's state.

    dlt appends a copy in each load that changes the state, and reads only the newest.
    """
    with clients.sql_client(pipeline) as client:
        states = client.make_qualified_table_name("_dlt_pipeline_state")
        newest = f"SELECT max(version) FROM {states} WHERE pipeline_name = %s"
        client.execute_sql(
            f"DELETE FROM {states} WHERE pipeline_name = %s AND version <= ({newest}) - {KEEP_STATES}",
            *(pipeline.pipeline_name, pipeline.pipeline_name),
        )


def delete_package(pipeline: dlt.Pipeline, load_id: str, tables: Iterable[str]) -> None:
    """Delete the rows that a package has stored in tables or in their staging tables."""
    with suppress(SqlClientNotAvailable), clients.sql_client(pipeline) as client:
        for name in tables:
            for dataset in (nullcontext(), client.with_staging_dataset()):
                with suppress(DatabaseUndefinedRelation), dataset:
                    table = client.make_qualified_table_name(name)
                    client.execute_sql(f"DELETE FROM {table} WHERE _dlt_load_id = %s", load_id)


def _transaction(client: Any) -> AbstractContextManager[Any]:
    known = client.capabilities
    if known.supports_transactions or known.supports_ddl_transactions:
        transaction: AbstractContextManager[Any] = client.begin_transaction()
        return transaction
    return nullcontext()


class _Stored(NamedTuple):
    """Hold the columns of a table, and the keys of its rows of some runs."""

    columns: set[str]
    keys: set[tuple[Any, ...]]


def _stored_rows(client: Any, name: str, rows: list[Row]) -> _Stored:
    runs = sorted({row["run_id"] for row in rows})
    columns: set[str] = set()
    keys: set[tuple[Any, ...]] = set()
    for batch in _batched(runs, PARAMETERS):
        places = ", ".join(["%s"] * len(batch))
        sql = f"SELECT * FROM {client.make_qualified_table_name(name)} WHERE run_id IN ({places})"
        with client.execute_query(sql, *batch) as cursor:
            names = [column[0] for column in cursor.description]
            columns.update(names)
            keys.update(row_key(name, dict(zip(names, row, strict=True))) for row in cursor.fetchall())
    return _Stored(columns, keys)


def _insert(client: Any, name: str, rows: Iterable[Row]) -> None:
    """Insert rows, several in a statement. Null values are left out: some drivers cannot infer their type."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(column for column, value in row.items() if value is not None)].append(row)
    for columns, group in groups.items():
        names = ", ".join(map(client.escape_column_name, columns))
        for batch in _batched(group, max(PARAMETERS // len(columns), 1)):
            places = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * len(batch))
            values = [row[column] for row in batch for column in columns]
            client.execute_sql(
                f"INSERT INTO {client.make_qualified_table_name(name)} ({names}) VALUES {places}", *values
            )


def _load(pipeline: dlt.Pipeline, load_id: str) -> Row:
    """Return the row of ``_dlt_loads`` that dlt would write for this ``_dlt_load_id``."""
    schema = pipeline.schemas[SCHEMA] if SCHEMA in pipeline.schema_names else None
    return {
        "load_id": load_id,
        "schema_name": SCHEMA,
        "status": 0,
        "inserted_at": datetime.now(UTC),
        "schema_version_hash": schema.version_hash if schema else None,
    }


def _batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
