"""Merge rows into the tables of a lake by key: Delta and Iceberg have no delete-insert.

So each deletion must name the key of its row. The source knows no destination, so this module adds these deletions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365.schema import REMOVED
from dlt.extract import DltResource

from m365_jobs.schema import LOAD_CHECK_FAILURES, LOAD_RUNS
from m365_jobs.warehouse.destinations.lake_tables import PARTITION, open_table, table_format

ERRORS = "jobs__job_errors"
UPSERT: Any = {"disposition": "merge", "strategy": "upsert"}

OBJECT_RESOURCES = (LOAD_RUNS.name, LOAD_CHECK_FAILURES.name)
"""Resources that yield objects, one table each; the others yield Arrow tables for several tables."""


def merge_by_key(resource: DltResource, pipeline: dlt.Pipeline) -> None:
    """Add the hints of a lake to a resource: table format, merge by key, a partition for each tenant."""
    kind: Any = table_format(pipeline)
    resource.apply_hints(table_format=kind)
    if resource.name in OBJECT_RESOURCES:
        resource.apply_hints(columns=PARTITION)
    if resource.name == LOAD_RUNS.name:
        resource.apply_hints(write_disposition=UPSERT)
    read_errors = _stored_errors(pipeline)

    def to_lake(item: Any, meta: Any) -> Any:
        """Return the item with the hints of a lake instead of the source's, which dlt passes along with the rows."""
        hints = getattr(meta, "hints", None)
        if not hints:
            return item
        # A table without a tenant, such as state_words, has no partitions.
        columns = {**(hints.get("original_columns") or {}), **(PARTITION if "tenant" in item.schema.names else {})}
        if hints["table_name"] == ERRORS:
            item = _with_deletions(item, read_errors)
        merged = dlt.mark.make_hints(
            table_name=hints["table_name"],
            write_disposition=UPSERT,
            primary_key=hints["primary_key"],
            columns=columns or None,
        )
        return dlt.mark.with_hints(item, merged, create_table_variant=True)

    resource.add_map(to_lake)


def _with_deletions(errors: pa.Table, read_errors: Callable[[str, pa.Array], pa.Table]) -> pa.Table:
    """Replace the markers of jobs without errors by one marker for each stored error that the API no longer lists.

    A marker deletes the row with its key.
    """
    if not errors.num_rows:
        return errors
    tenant = errors.column("tenant")[0].as_py()
    remaining = errors.filter(pc.invert(pc.fill_null(errors.column(REMOVED), False)))
    keys = ["job_id", "error_index"]
    old = read_errors(tenant, pc.unique(errors.column("job_id")))
    gone = old.join(remaining.select(keys), keys=keys, join_type="left anti")
    columns = {name: pa.nulls(gone.num_rows, errors.schema.field(name).type) for name in errors.schema.names}
    columns |= {name: gone.column(name) for name in keys}
    columns |= {"tenant": pa.repeat(tenant, gone.num_rows), REMOVED: pa.repeat(True, gone.num_rows)}
    return pa.concat_tables([remaining, pa.table(columns).cast(errors.schema)])


def _stored_errors(pipeline: dlt.Pipeline) -> Callable[[str, pa.Array], pa.Table]:
    """Return a function of tenant and job ids that reads the keys of the stored errors."""
    opened: dict[str, Any] = {}

    def read_errors(tenant: str, job_ids: pa.Array) -> pa.Table:
        if tenant not in opened:
            opened[tenant] = open_table(pipeline, ERRORS, tenant)
        if opened[tenant] is None:
            return pa.table({"job_id": pa.array([], pa.string()), "error_index": pa.array([], pa.int64())})
        with duckdb.connect() as connection:
            connection.register("errors", opened[tenant])
            connection.register("asked", pa.table({"job_id": job_ids}))
            # For Iceberg, open_table returns the rows of all tenants.
            query = "SELECT job_id, error_index FROM errors SEMI JOIN asked USING (job_id) WHERE tenant = ?"
            return connection.sql(query, params=[tenant]).to_arrow_table()

    return read_errors
