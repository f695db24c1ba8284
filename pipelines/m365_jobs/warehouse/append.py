"""Rows of the log tables, written straight into the warehouse.

A dlt run takes a second for one row: extract, normalise, load, state. A load with nothing new has only such rows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.common.utils import uniq_id
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations import lake

SCHEMA = "avepoint_m365"
Row = dict[str, Any]
T = TypeVar("T")

KEYS: dict[str, tuple[str, ...]] = {
    "load_audit": ("run_id", "tenant", "started_at"),
    "load_check_failures": ("run_id", "tenant", "rule", "problem", "example"),
    "reconciliations": ("run_id", "tenant", "location", "kind", "period_start"),
    "load_runs": ("run_id", "tenant"),
}
"""Table to the columns that identify a row. Tables are written in this order: a run whose ``load_runs`` row is there
has all its rows, also where a destination has no transactions."""

PARAMETERS = 1_000
"""Values of one INSERT statement at most; SQL Server accepts 2,100."""


DLT_ID_LENGTH_BYTES = 10
"""Random bytes of dlt's row ids."""


def append_rows(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row] | pa.Table]) -> bool:
    """Append rows of the log tables, of one or many tenants, without a dlt run; return whether they are there now.

    The caller holds the write lock. Rows whose key is there already are left out, so a repeated call adds nothing.
    SQL destinations with transactions write all tables in one; Delta tables get one commit each. Nothing is created:
    where a table or a column is missing, or the destination has no such way, nothing is written and the answer is
    false. A dlt run writes the rows then.
    """
    rows = {name: _as_rows(tables[name]) for name in sorted(tables, key=[*KEYS].index)}
    rows = {name: table_rows for name, table_rows in rows.items() if table_rows}
    if lake.is_lake(pipeline):
        return lake.table_format(pipeline) == lake.DELTA and _append_to_delta(pipeline, rows)
    file = warehouse.duckdb_file(pipeline)
    if file and not file.exists():
        return False
    return _append_with_sql(pipeline, rows)


def _as_rows(rows: list[Row] | pa.Table) -> list[Row]:
    return rows.to_pylist() if isinstance(rows, pa.Table) else rows


def _append_with_sql(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
    load_id = str(time.time())
    try:
        with pipeline.sql_client() as client, _transaction(client):
            stored = {name: _stored_rows(client, name, rows) for name, rows in tables.items()}
            for name, rows in tables.items():
                if not _known_columns(rows) <= stored[name].columns:
                    return False
                _insert(client, name, _completed(_new(name, rows, stored[name].keys), stored[name].columns, load_id))
            _insert(client, "_dlt_loads", [_load(pipeline, load_id)])
    except (SqlClientNotAvailable, DatabaseUndefinedRelation):
        return False
    return True


def _transaction(client: Any) -> AbstractContextManager[Any]:
    known = client.capabilities
    if known.supports_transactions or known.supports_ddl_transactions:
        transaction: AbstractContextManager[Any] = client.begin_transaction()
        return transaction
    return nullcontext()


@dataclass(frozen=True)
class _Stored:
    """What a table holds already of the runs that are to be appended."""

    columns: set[str]
    keys: set[tuple[Any, ...]]


def _stored_rows(client: Any, name: str, rows: list[Row]) -> _Stored:
    runs = sorted({row["run_id"] for row in rows})
    columns: set[str] = set()
    keys: set[tuple[Any, ...]] = set()
    for some in _batched(runs, PARAMETERS):
        places = ", ".join(["%s"] * len(some))
        sql = f"SELECT * FROM {client.make_qualified_table_name(name)} WHERE run_id IN ({places})"
        with client.execute_query(sql, *some) as cursor:
            names = [column[0] for column in cursor.description]
            columns.update(names)
            keys.update(_key(name, dict(zip(names, row, strict=True))) for row in cursor.fetchall())
    return _Stored(columns, keys)


def _insert(client: Any, name: str, rows: Iterable[Row]) -> None:
    """Insert rows, several in a statement. Null is left to the column's default: some drivers cannot tell its type."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(column for column, value in row.items() if value is not None)].append(row)
    for columns, alike in groups.items():
        names = ", ".join(map(client.escape_column_name, columns))
        for some in _batched(alike, max(PARAMETERS // len(columns), 1)):
            places = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * len(some))
            values = [row[column] for row in some for column in columns]
            client.execute_sql(
                f"INSERT INTO {client.make_qualified_table_name(name)} ({names}) VALUES {places}", *values
            )


def _load(pipeline: dlt.Pipeline, load_id: str) -> Row:
    """Return the row of ``_dlt_loads`` that dlt itself would write for the rows' ``_dlt_load_id``."""
    schema = pipeline.schemas[SCHEMA] if SCHEMA in pipeline.schema_names else None
    return {
        "load_id": load_id,
        "schema_name": SCHEMA,
        "status": 0,
        "inserted_at": datetime.now(UTC),
        "schema_version_hash": schema.version_hash if schema else None,
    }


def _append_to_delta(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
    from deltalake import write_deltalake

    client, load_id = pipeline.destination_client(), str(time.time())
    stored = {name: lake.delta_table(client, name) for name in tables}
    if None in stored.values():
        return False
    schemas = {name: pa.schema(table.schema().to_arrow()) for name, table in stored.items()}
    if any(not _known_columns(rows) <= {*schemas[name].names} for name, rows in tables.items()):
        return False
    for name, rows in tables.items():
        table, schema = stored[name], schemas[name]
        tenants: Any = [("tenant", "in", sorted({row["tenant"] for row in rows}))]
        runs = pc.field("run_id").isin({row["run_id"] for row in rows})
        there = (
            table.to_pyarrow_dataset(file_pruning_predicate=tenants)
            .to_table(columns=[*KEYS[name]], filter=runs)
            .to_pylist()
        )
        new = list(_completed(_new(name, rows, {_key(name, row) for row in there}), {*schema.names}, load_id))
        if new:
            write_deltalake(table, pa.Table.from_pylist(new, schema=schema), mode="append")
    return True


def _batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _key(name: str, row: Row) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in KEYS[name])


def _new(name: str, rows: Iterable[Row], keys: set[tuple[Any, ...]]) -> Iterator[Row]:
    """Yield each row whose key is not among ``keys``, once."""
    known = set(keys)
    for row in rows:
        if (key := _key(name, row)) not in known:
            known.add(key)
            yield row


def _known_columns(rows: Iterable[Row]) -> set[str]:
    return {column for row in rows for column, value in row.items() if value is not None}


def _completed(rows: Iterable[Row], columns: set[str], load_id: str) -> Iterator[Row]:
    """Yield the rows with the columns that dlt adds to rows of its own, where the table has them."""
    for row in rows:
        added = {"_dlt_load_id": load_id, "_dlt_id": uniq_id(DLT_ID_LENGTH_BYTES)}
        yield {name: _storable(value) for name, value in {**row, **added}.items() if name in columns}


def _storable(value: Any) -> Any:
    """Return a text without what databases refuse: NUL characters and lone surrogates."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
