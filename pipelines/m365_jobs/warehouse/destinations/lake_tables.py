"""Open the tables of a lake: Delta and Iceberg, for loads and for readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365.schema import REMOVED
from dlt.common.destination.client import SupportsOpenTables

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.schema import TABLES

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target

DELTA: Final = "delta"

ICEBERG: Final = "iceberg"

NAMES = [table.name for table in TABLES]

BY_TENANT = frozenset(table.name for table in TABLES if "tenant" in table.names)

PARTITION: Any = {"tenant": {"name": "tenant", "partition": True}}
"""Hint that partitions a table by tenant, so that loads of two tenants change different files."""


def table_format(pipeline: Target) -> str:
    """Return the table format: delta, or the value of ``destination.<name>.table_format``.

    Raises:
        UsageError: for anything but delta and iceberg.
    """
    key = f"destination.{pipeline.destination.destination_name}.table_format"
    table_format = str(dlt.config.get(key) or DELTA)
    if table_format not in (DELTA, ICEBERG):
        raise UsageError(f"{key} = {table_format!r} is not known. Known are: {DELTA}, {ICEBERG}.")
    return table_format


def open_table(pipeline: Target, name: str, tenant: str | None = None, client: Any = None) -> Any:
    """Return a table of the lake as an Arrow dataset (Delta) or table (Iceberg); None if it does not exist.

    With ``tenant``, files of other tenants are left out (Delta only). ``client`` is a client of the lake; if unset, a
    new one is created.
    """
    client = client or pipeline.destination_client()
    assert isinstance(client, SupportsOpenTables)
    if table_format(pipeline) == ICEBERG:
        return _iceberg_rows(client, name)
    if (table := delta_table(client, name)) is None:
        return None
    # Merges write texts as string views, first loads as strings. Filters work only if both are read as views.
    fields = [_as_view(pa.field(field)) for field in table.schema().to_arrow()]
    pruned = [("tenant", "=", tenant)] if tenant is not None else None
    return table.to_pyarrow_dataset(schema=pa.schema(fields), file_pruning_predicate=pruned)


def _as_view(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string_view()) if pa.types.is_string(field.type) else field


def _iceberg_rows(client: SupportsOpenTables, name: str) -> pa.Table | None:
    """Return all rows except deletion markers: Iceberg's upsert cannot delete, so these stay in the table."""
    if (table := _iceberg_table(client, name)) is None:
        return None
    rows: pa.Table = table.scan().to_arrow()
    if REMOVED not in rows.schema.names:
        return rows
    return rows.filter(pc.invert(pc.fill_null(rows.column(REMOVED), False)))


def _iceberg_table(client: Any, name: str) -> Any:
    """Return an Iceberg table of the lake; None if it does not exist.

    dlt's ``load_open_table`` looks for the table in dlt's schema, which is empty for readers.
    """
    from dlt.common.libs.pyiceberg import evolve_table
    from pyiceberg.exceptions import NoSuchTableError

    place = f"{client.dataset_name}.{name}", client.get_open_table_location(ICEBERG, name)
    try:
        return evolve_table(client.get_open_table_catalog(ICEBERG), client.fs_client, client.config, *place)
    except (NoSuchTableError, FileNotFoundError):
        return None


def delete_stored(pipeline: Target, name: str, load_id: str) -> None:
    """Delete the rows that a package of dlt has stored in a table, if it exists."""
    client: Any = pipeline.destination_client()
    table = delta_table(client, name) if table_format(pipeline) == DELTA else _iceberg_table(client, name)
    if table is not None:
        table.delete(f"_dlt_load_id = '{load_id}'")


def delta_table(client: Any, name: str) -> Any:
    """Return a Delta table of the lake; None if it does not exist."""
    return open_delta(client.get_open_table_location(DELTA, name), storage_options(client))


def open_delta(address: str, options: dict[str, str]) -> Any:
    """Return the Delta table at a URL; None if it does not exist.

    DeltaTable.is_deltatable is not called: it blocks all threads until the storage responds, also those that renew
    leases.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(address, storage_options=options)
    except TableNotFoundError:
        return None


def storage_options(client: Any) -> dict[str, str]:
    """Return the storage options of delta-rs for the lake of a destination client."""
    from dlt.common.libs.deltalake import deltalake_storage_options

    options: dict[str, str] = deltalake_storage_options(
        client.config.credentials, client.config.deltalake_storage_options
    )
    return options


def register_views(
    pipeline: Target, connection: duckdb.DuckDBPyConnection, names: Sequence[str] = (), tenant: str | None = None
) -> None:
    """Create a view in a DuckDB connection for each table of the lake; queries read the tables through Arrow.

    ``names`` are the tables, all if empty. ``tenant`` is the only tenant whose files are read, all if unset.
    """
    connection.execute(f'CREATE SCHEMA "{pipeline.dataset_name}"')
    client = pipeline.destination_client()
    for name in names or NAMES:
        owner = tenant if name in BY_TENANT else None
        if (table := open_table(pipeline, name, owner, client)) is not None:
            connection.register(f"lake_{name}", table)
            connection.execute(f'CREATE VIEW "{pipeline.dataset_name}"."{name}" AS FROM lake_{name}')
