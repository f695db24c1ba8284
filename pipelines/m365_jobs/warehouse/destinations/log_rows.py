"""Define the keys of rows of the log tables, and the columns that dlt adds to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from avepoint_m365.text import storable
from dlt.common.utils import uniq_id

Row = dict[str, Any]

KEYS: dict[str, tuple[str, ...]] = {
    "load_audit": ("run_id", "tenant", "started_at"),
    "load_check_failures": ("run_id", "tenant", "rule", "problem", "example"),
    "reconciliations": ("run_id", "tenant", "checked_at"),
    "load_runs": ("run_id", "tenant"),
}
"""Table to the columns that identify a row. Tables are written in this order: without transactions as well, a run with
a row in ``load_runs`` has all its other rows."""

DLT_ID_LENGTH_BYTES = 10
"""Number of random bytes in dlt's row ids."""


def row_key(name: str, row: Row) -> tuple[Any, ...]:
    """Return the values of a row's key."""
    return tuple(row.get(column) for column in KEYS[name])


def new_rows(name: str, rows: Iterable[Row], keys: set[tuple[Any, ...]]) -> Iterator[Row]:
    """Yield each row whose key is not among ``keys``, once."""
    known = set(keys)
    for row in rows:
        if (key := row_key(name, row)) not in known:
            known.add(key)
            yield row


def known_columns(rows: Iterable[Row]) -> set[str]:
    """Return the columns in which any row has a value."""
    return {column for row in rows for column, value in row.items() if value is not None}


def with_dlt_columns(rows: Iterable[Row], columns: set[str], load_id: str) -> Iterator[Row]:
    """Yield the rows with dlt's own columns, if the table has them."""
    for row in rows:
        added = {"_dlt_load_id": load_id, "_dlt_id": uniq_id(DLT_ID_LENGTH_BYTES)}
        values = {name: value for name, value in {**row, **added}.items() if name in columns}
        yield {name: storable(value) if isinstance(value, str) else value for name, value in values.items()}
