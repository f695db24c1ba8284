"""Apply the data contract: names and types of tables and columns, in this program's own dataset only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dlt
from avepoint_m365.schema import UNKNOWN_FIELDS
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs import marts
from m365_jobs.config.protection import Protection
from m365_jobs.errors.exceptions import UsageError, WarehouseError
from m365_jobs.errors.explain import explain
from m365_jobs.schema import SCHEMA, TABLES
from m365_jobs.warehouse import clients, versions
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.reader import open_in_load
from m365_jobs.warehouse.target import duckdb_file

CONTRACT_COLUMNS = {table.name: table.arrow.names for table in TABLES}
"""Table to its columns. A table of the same name that lacks some belongs to another program."""


def refuse_newer_series(pipeline: dlt.Pipeline) -> None:
    """Refuse, in a load, a warehouse that a newer version of this program has loaded into.

    Raises:
        WarehouseError: naming both versions.
    """
    with open_in_load(pipeline, ("load_runs",)) as reader:
        versions.refuse_newer(reader)


def refuse_foreign_dataset(pipeline: dlt.Pipeline) -> None:
    """Refuse a dataset without a dlt record of this program that has tables of another program, or of the demo.

    Raises:
        WarehouseError: before anything is written, naming the table; dlt would add columns to it.
        UsageError: if the dataset is the demo's, and the load is not.
    """
    if SCHEMA not in pipeline.schema_names:
        refuse_foreign_tables(pipeline)
        _refuse_demo_warehouse(pipeline)


def _refuse_demo_warehouse(pipeline: dlt.Pipeline) -> None:
    """Refuse to load real jobs into the demo's warehouse."""
    file = duckdb_file(pipeline)
    if not file or pipeline.pipeline_name == warehouse.pipeline_name(warehouse.DEMO_TENANT):
        return
    with open_in_load(pipeline) as reader:
        query = f"SELECT run_id FROM {reader.table('load_runs')} WHERE tenant = %s LIMIT 1"
        try:
            simulated = reader.rows(query, warehouse.DEMO_TENANT)
        except DestinationUndefinedEntity:
            return
    if simulated:
        raise UsageError(
            f"{file} is the demo's, with simulated jobs. Delete it, and run this again: the load makes a new one. Or "
            "load in another directory."
        )


def refuse_foreign_tables(pipeline: dlt.Pipeline) -> None:
    """Refuse a dataset that has tables of another program with names of this one.

    dlt's record is no proof: the pipeline's folder may be from another warehouse.

    Raises:
        WarehouseError: naming the table and the columns that it lacks.
    """
    with open_in_load(pipeline) as reader:
        for name, columns in CONTRACT_COLUMNS.items():
            try:
                with reader.cursor(f"SELECT * FROM {reader.table(name)} WHERE 1 = 0") as cursor:
                    missing = sorted(set(columns) - {column[0] for column in cursor.description})
            except DestinationUndefinedEntity:
                continue
            if missing:
                raise WarehouseError(
                    f"Dataset {pipeline.dataset_name} already has a table {name} that this program did not make: it "
                    f"has no {', '.join(missing[:3])}. Nothing was written. Load into another dataset with --dataset, "
                    "or rename that table."
                )


SCHEMA_CONTRACT: Any = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}
"""dlt's schema contract: a column whose type changed stops the load before anything is written. ``_drop_new_columns``
drops new columns: dlt's contract would let them into a new table."""


def prepare(source: Any, pipeline: dlt.Pipeline) -> Any:
    """Apply the contract and the hints of the destination to a source or a resource; return the same object."""
    _require_columns(pipeline)
    resources = source.resources.values() if hasattr(source, "resources") else [source]
    for resource in resources:
        resource.apply_hints(schema_contract=SCHEMA_CONTRACT)
        resource.add_map(_drop_new_columns)
        kind_of(pipeline).adapt(resource, pipeline)
    return source


def _require_columns(pipeline: dlt.Pipeline) -> None:
    """Mark columns as required in dlt's record of the tables, if an older version created them as nullable.

    To dlt that is another type, which the contract refuses. Columns of the destination stay nullable.
    """
    stored = pipeline.schemas[SCHEMA].tables if SCHEMA in pipeline.schema_names else {}
    for table in TABLES:
        columns = stored[table.name]["columns"] if table.name in stored else {}
        for column in table.columns:
            if not column.nullable and columns.get(column.name, {}).get("nullable"):
                columns[column.name]["nullable"] = False


def _drop_new_columns(item: Any, meta: Any) -> Any:
    """Return the rows without columns outside the contract; ``unknown_fields`` keeps fields that the API adds."""
    hints = getattr(meta, "hints", None) or {}
    columns = CONTRACT_COLUMNS.get(hints.get("table_name", ""))
    if columns is None:
        return item
    known = {*columns, UNKNOWN_FIELDS}
    extra = [name for name in item.schema.names if name not in known and not name.startswith("_dlt_")]
    return item.drop_columns(extra) if extra else item


def file_format(pipeline: dlt.Pipeline) -> Any:
    """Return the file format in which dlt stages Arrow tables for the destination."""
    return kind_of(pipeline).file_format(pipeline)


def write_rows(pipeline: dlt.Pipeline, *resources: Any, loader_file_format: Any = None) -> None:
    """Load the rows of resources; without ``loader_file_format``, in dlt's format for the destination."""
    schema = pipeline.schemas[SCHEMA] if SCHEMA in pipeline.schema_names else dlt.Schema(SCHEMA)
    prepared = [prepare(resource, pipeline) for resource in resources]
    pipeline.run(prepared, schema=schema, loader_file_format=loader_file_format)


def finish_load(
    pipeline: dlt.Pipeline,
    tenant: str,
    notify: Callable[[str], None],
    protection: Protection | None = None,
    wrote: bool = True,
) -> None:
    """Create indexes and update the views after a load.

    The rows are correct without them: if the destination refuses, the user is notified and the load succeeds.

    Args:
        pipeline: The pipeline of the load.
        tenant: The tenant that was loaded.
        notify: Receives a line for the user for each failure.
        protection: Settings of the views; the configured ones if unset.
        wrote: Whether the load wrote jobs.
    """
    try:
        if wrote:
            kind_of(pipeline).after_load(pipeline, tenant)
    except Exception as error:
        notify(f"Loaded, but missing keys and indexes could not be created. {explain(error).text}")
    try:
        marts.update_views(pipeline, protection, clients.destination_client(pipeline))
    except Exception as error:
        notify(f"Loaded, but the views could not be created or updated: {explain(error).text}")
