"""Append rows of the log tables as commits of Delta tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from m365_jobs.warehouse.destinations import delta_files
from m365_jobs.warehouse.destinations.lake_tables import delta_table
from m365_jobs.warehouse.destinations.log_rows import KEYS, Row, known_columns, new_rows, row_key, with_dlt_columns


def append_to_delta(pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
    """Append rows, one commit per table; return false if a table or a column is missing.

    Rows whose key is stored are left out.
    """
    client, load_id = pipeline.destination_client(), str(time.time())
    stored = {name: delta_table(client, name) for name in tables}
    if None in stored.values():
        return False
    schemas = {name: pa.schema(table.schema().to_arrow()) for name, table in stored.items()}
    if any(not known_columns(rows) <= {*schemas[name].names} for name, rows in tables.items()):
        return False
    for name, rows in tables.items():
        table, schema = stored[name], schemas[name]
        tenants: Any = [("tenant", "in", sorted({row["tenant"] for row in rows}))]
        runs = pc.field("run_id").isin({row["run_id"] for row in rows})
        stored_rows = (
            table.to_pyarrow_dataset(file_pruning_predicate=tenants)
            .to_table(columns=[*KEYS[name]], filter=runs)
            .to_pylist()
        )
        new = list(
            with_dlt_columns(
                new_rows(name, rows, {row_key(name, row) for row in stored_rows}), {*schema.names}, load_id
            )
        )
        if new:
            write_deltalake(table, pa.Table.from_pylist(new, schema=schema), mode="append")
            delta_files.tidy_appended(table, {row["tenant"] for row in new})
    return True
