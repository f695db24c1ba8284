"""Append rows of the log tables straight to the warehouse.

A dlt run lasts a second for one row: extract, normalise, load, state. A load with nothing new has only such rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import dlt
import pyarrow as pa

from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.destinations.log_rows import KEYS, Row

__all__ = ["KEYS", "append_rows"]


def append_rows(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row] | pa.Table]) -> bool:
    """Append rows of the log tables, of one or many tenants, without a dlt run; return whether they are there now.

    The caller holds the write lock. Rows whose key is there already are left out, so a repeated call adds nothing.
    SQL destinations with transactions write all tables in one; Delta tables get one commit each. Nothing is created:
    where a table or a column is missing, or the destination has no such way, nothing is written and the answer is
    false. A dlt run writes the rows then.
    """
    rows = {name: _as_rows(tables[name]) for name in sorted(tables, key=[*KEYS].index)}
    rows = {name: table_rows for name, table_rows in rows.items() if table_rows}
    return kind_of(pipeline).append_rows(pipeline, rows)


def _as_rows(rows: list[Row] | pa.Table) -> list[Row]:
    return rows.to_pylist() if isinstance(rows, pa.Table) else rows
