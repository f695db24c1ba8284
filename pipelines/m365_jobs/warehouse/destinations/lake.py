"""A lake: Delta or Iceberg tables in files, through dlt's filesystem destination (extra ``lake``).

Delta and Iceberg know no delete-insert, so rows are merged by their key alone, and a row that is gone has to be named
to be deleted. Here that is the business of whoever writes; the source knows no destination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365.schema import REMOVED
from dlt.common.destination.client import SupportsOpenTables
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.extract import DltResource

from m365_jobs.errors.explain import UsageError
from m365_jobs.schema import LOAD_CHECK_FAILURES, LOAD_RUNS, TABLES
from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.log_rows import Row
from m365_jobs.warehouse.target import Target

DELTA: Final = "delta"
ICEBERG: Final = "iceberg"
ERRORS = "jobs__job_errors"
NAMES = [table.name for table in TABLES]
UPSERT: Any = {"disposition": "merge", "strategy": "upsert"}
PARTITION: Any = {"tenant": {"name": "tenant", "partition": True}}
"""Each tenant's rows lie in files of their own, so loads of two tenants touch no file of each other."""

OF_OBJECTS = (LOAD_RUNS.name, LOAD_CHECK_FAILURES.name)
"""Resources that yield objects, one table each; the others yield Arrow tables for several tables."""


class LakeDestination(WarehouseDestination):
    """Files of Delta or Iceberg tables. Tenants write side by side, each as long as it has its lease."""

    types = ("filesystem",)
    lease = "m365_jobs.locks.lake:LakeLease"

    def adapt(self, resource: DltResource, pipeline: dlt.Pipeline) -> None:
        """Merge by key, into a table format."""
        adapt(resource, pipeline)

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Put small files together, and rewrite those that other programs cannot filter."""
        if table_format(pipeline) == DELTA:
            from m365_jobs.warehouse.destinations import delta_files

            delta_files.tidy(pipeline, tenant)

    def append_rows(self, pipeline: dlt.Pipeline, tables: Mapping[str, list[Row]]) -> bool:
        """Append to Delta tables; Iceberg needs a catalog, which dlt makes for its own runs."""
        if table_format(pipeline) != DELTA:
            return False
        from m365_jobs.warehouse.destinations import delta_rows

        return delta_rows.append(pipeline, tables)


def is_lake(pipeline: Target) -> bool:
    """Whether the pipeline writes files rather than into a database."""
    return str(pipeline.destination.destination_type).endswith(".filesystem")


def table_format(pipeline: Target) -> str:
    """delta, or what ``destination.<name>.table_format`` says.

    Raises:
        UsageError: for anything but delta and iceberg.
    """
    key = f"destination.{pipeline.destination.destination_name}.table_format"
    found = str(dlt.config.get(key) or DELTA)
    if found not in (DELTA, ICEBERG):
        raise UsageError(f"{key} = {found!r} is not known. Known are: {DELTA}, {ICEBERG}.")
    return found


def adapt(resource: DltResource, pipeline: dlt.Pipeline) -> None:
    """Gives a resource the hints of a lake: its table format, merging by key, a partition for each tenant."""
    kind: Any = table_format(pipeline)
    resource.apply_hints(table_format=kind)
    if resource.name in OF_OBJECTS:
        resource.apply_hints(columns=PARTITION)
    if resource.name == LOAD_RUNS.name:
        resource.apply_hints(write_disposition=UPSERT)
    held = _held_errors(pipeline)

    def to_lake(item: Any, meta: Any) -> Any:
        """Rows with the source's hints (dlt hands them on beside the rows) get those of a lake instead."""
        hints = getattr(meta, "hints", None)
        if not hints:
            return item
        # A table without a tenant, such as that of words for states, has no such partition.
        columns = {**(hints.get("original_columns") or {}), **(PARTITION if "tenant" in item.schema.names else {})}
        if "primary_key" not in hints:
            appended = dlt.mark.make_hints(
                table_name=hints["table_name"], write_disposition=hints["write_disposition"], columns=columns or None
            )
            return dlt.mark.with_hints(item, appended, create_table_variant=True)
        if hints["table_name"] == ERRORS:
            item = _with_deletions(item, held)
        merged = dlt.mark.make_hints(
            table_name=hints["table_name"],
            write_disposition=UPSERT,
            primary_key=hints["primary_key"],
            columns=columns or None,
        )
        return dlt.mark.with_hints(item, merged, create_table_variant=True)

    resource.add_map(to_lake)


def _with_deletions(errors: pa.Table, held: Callable[[str, pa.Array], pa.Table]) -> pa.Table:
    """Replaces the markers of jobs without errors by one for each error that the lake holds and the API no longer
    lists: a marker deletes only the row that has its very key."""
    if not errors.num_rows:
        return errors
    tenant = errors.column("tenant")[0].as_py()
    kept = errors.filter(pc.invert(pc.fill_null(errors.column(REMOVED), False)))
    keys = ["job_id", "error_index"]
    old = held(tenant, pc.unique(errors.column("job_id")))
    gone = old.join(kept.select(keys), keys=keys, join_type="left anti")
    columns = {name: pa.nulls(gone.num_rows, errors.schema.field(name).type) for name in errors.schema.names}
    columns |= {name: gone.column(name) for name in keys}
    columns |= {"tenant": pa.repeat(tenant, gone.num_rows), REMOVED: pa.repeat(True, gone.num_rows)}
    return pa.concat_tables([kept, pa.table(columns).cast(errors.schema)])


def _held_errors(pipeline: dlt.Pipeline) -> Callable[[str, pa.Array], pa.Table]:
    """A function of tenant and job ids: ``job_id`` and ``error_index`` of the errors that the lake holds of them."""
    opened: dict[str, Any] = {}

    def held(tenant: str, job_ids: pa.Array) -> pa.Table:
        if tenant not in opened:
            opened[tenant] = open_table(pipeline, ERRORS, tenant)
        if opened[tenant] is None:
            return pa.table({"job_id": pa.array([], pa.string()), "error_index": pa.array([], pa.int64())})
        with duckdb.connect() as connection:
            connection.register("errors", opened[tenant])
            connection.register("asked", pa.table({"job_id": job_ids}))
            # A lake may be shared: of Iceberg's files no tenant was picked above.
            found = "SELECT job_id, error_index FROM errors SEMI JOIN asked USING (job_id) WHERE tenant = ?"
            return connection.sql(found, params=[tenant]).to_arrow_table()

    return held


def open_table(pipeline: Target, name: str, tenant: str | None = None) -> Any:
    """A table of the lake, or its files of one tenant, as an Arrow dataset (of Delta) or table (of Iceberg).

    None where the table is not there.
    """
    client = pipeline.destination_client()
    assert isinstance(client, SupportsOpenTables)
    if table_format(pipeline) == ICEBERG:
        return _iceberg_rows(client, name)
    if (table := delta_table(client, name)) is None:
        return None
    # Merges write texts as string views, first loads as strings; filters work on either only where both are read as
    # views.
    fields = [_as_view(pa.field(one)) for one in table.schema().to_arrow()]
    pruned = [("tenant", "=", tenant)] if tenant is not None else None
    return table.to_pyarrow_dataset(schema=pa.schema(fields), file_pruning_predicate=pruned)


def _as_view(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string_view()) if pa.types.is_string(field.type) else field


def _iceberg_rows(client: SupportsOpenTables, name: str) -> pa.Table | None:
    """All rows but those that only mark others as deleted: Iceberg's upsert cannot delete, so they stay."""
    try:
        rows = client.load_open_table(ICEBERG, name).scan().to_arrow()
    except DestinationUndefinedEntity:
        return None
    if REMOVED not in rows.schema.names:
        return rows
    return rows.filter(pc.invert(pc.fill_null(rows.column(REMOVED), False)))


def delta_table(client: Any, name: str) -> Any:
    """Return a Delta table of the lake; None where it is not there."""
    from deltalake import DeltaTable

    address, options = client.get_open_table_location(DELTA, name), storage_options(client)
    return DeltaTable(address, storage_options=options) if DeltaTable.is_deltatable(address, options) else None


def storage_options(client: Any) -> dict[str, str]:
    """What delta-rs needs to know to get at the lake of a destination client."""
    from dlt.common.libs.deltalake import deltalake_storage_options

    options: dict[str, str] = deltalake_storage_options(
        client.config.credentials, client.config.deltalake_storage_options
    )
    return options


def register(pipeline: Target, connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the tables of the lake views of a DuckDB database, read through Arrow when they are asked."""
    connection.execute(f'CREATE SCHEMA "{pipeline.dataset_name}"')
    for name in NAMES:
        if (table := open_table(pipeline, name)) is not None:
            connection.register(f"lake_{name}", table)
            connection.execute(f'CREATE VIEW "{pipeline.dataset_name}"."{name}" AS FROM lake_{name}')
