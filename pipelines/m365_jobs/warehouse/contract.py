"""Hold the promise of the warehouse's tables, and do what dlt leaves to a load for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dlt
from avepoint_m365.schema import UNKNOWN_FIELDS
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs import marts
from m365_jobs.errors.explain import UsageError, WarehouseError, explain
from m365_jobs.schema import TABLES
from m365_jobs.warehouse import clients, versions
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.reader import open_in_load

SCHEMA = "avepoint_m365"
"""dlt's name of the schema of our tables: the source's."""

PROMISED = {table.name: table.arrow.names for table in TABLES}
"""Table to the columns that other programs' tables of the same name lack."""


def refuse_newer_series(pipeline: dlt.Pipeline) -> None:
    """Refuse, in a load, a warehouse that a newer version of this program has loaded into."""
    with open_in_load(pipeline, ("load_runs",)) as reader:
        versions.refuse_newer(reader)


def ensure_ours(pipeline: dlt.Pipeline) -> None:
    """Check that a dataset unknown to dlt holds no tables of our names that another program made.

    Raises:
        WarehouseError: before anything is written, naming the table; dlt would add our columns to it.
        UsageError: where it is the demo's, and the load is not.
    """
    if SCHEMA not in pipeline.schema_names:
        refuse_others(pipeline)
        _refuse_the_demos(pipeline)


def _refuse_the_demos(pipeline: dlt.Pipeline) -> None:
    """Refuse to load real jobs into the demo's warehouse, beside simulated ones."""
    file = warehouse.duckdb_file(pipeline)
    if not file or pipeline.pipeline_name == warehouse.pipeline_name(warehouse.DEMO_TENANT):
        return
    with open_in_load(pipeline) as reader:
        question = f"SELECT run_id FROM {reader.table('load_runs')} WHERE tenant = %s LIMIT 1"
        try:
            simulated = reader.rows(question, warehouse.DEMO_TENANT)
        except DestinationUndefinedEntity:
            return
    if simulated:
        raise UsageError(
            f"{file} is the demo's, with simulated jobs. Delete it, and run this again: the load makes a new one. Or "
            "load in another directory."
        )


def refuse_others(pipeline: dlt.Pipeline) -> None:
    """Refuse tables of another program even if dlt has a record of ours.

    Its folder on this machine may know our tables from another warehouse.
    """
    with open_in_load(pipeline) as reader:
        for name, promised in PROMISED.items():
            try:
                with reader.cursor(f"SELECT * FROM {reader.table(name)} WHERE 1 = 0") as cursor:
                    missing = sorted(set(promised) - {column[0] for column in cursor.description})
            except DestinationUndefinedEntity:
                continue
            if missing:
                raise WarehouseError(
                    f"Dataset {pipeline.dataset_name} already has a table {name} that this program did not make: it "
                    f"has no {', '.join(missing[:3])}. Nothing was written. Load into another dataset with --dataset, "
                    "or rename that table."
                )


CONTRACT: Any = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}
"""dlt's schema contract: a column whose type changed stops the load before anything is written. New columns are kept
out by ``_promised``, since dlt would let them into a table that is new, and keep those of a newer version out."""


def prepare(source: Any, pipeline: dlt.Pipeline) -> Any:
    """Fit a source, or a single resource, to the contract and to the destination; return the same object."""
    resources = source.resources.values() if hasattr(source, "resources") else [source]
    for resource in resources:
        resource.apply_hints(schema_contract=CONTRACT)
        resource.add_map(_promised)
        kind_of(pipeline).adapt(resource, pipeline)
    return source


def _promised(item: Any, meta: Any) -> Any:
    """Return the columns that the tables promise. A field that the API adds is kept in ``unknown_fields`` only."""
    hints = getattr(meta, "hints", None) or {}
    promised = PROMISED.get(hints.get("table_name", ""))
    if promised is None:
        return item
    known = {*promised, UNKNOWN_FIELDS}
    extra = [name for name in item.schema.names if name not in known and not name.startswith("_dlt_")]
    return item.drop_columns(extra) if extra else item


def file_format(pipeline: dlt.Pipeline) -> Any:
    """Return what dlt writes Arrow tables as on their way to the destination of a pipeline."""
    return kind_of(pipeline).file_format(pipeline)


def write_rows(pipeline: dlt.Pipeline, *resources: Any, loader_file_format: Any = None) -> None:
    """Load the rows of resources into the schema of our tables, in dlt's format for the destination if unset."""
    schema = pipeline.schemas[SCHEMA] if SCHEMA in pipeline.schema_names else dlt.Schema(SCHEMA)
    prepared = [prepare(resource, pipeline) for resource in resources]
    pipeline.run(prepared, schema=schema, loader_file_format=loader_file_format)


def finish_load(
    pipeline: dlt.Pipeline,
    tenant: str,
    notify: Callable[[str], None],
    protection: marts.Protection | None = None,
    wrote: bool = True,
) -> None:
    """Make what makes reading fast, and the views, once a load is in the warehouse.

    The rows are right without it: if the destination refuses, that is said and the load stands.

    Args:
        pipeline: The pipeline of the load.
        tenant: The tenant that was loaded.
        notify: Receives a line for what could not be made.
        protection: Settings of the views; the configuration's if unset.
        wrote: Whether the load wrote jobs.
    """
    try:
        if wrote:
            kind_of(pipeline).after_load(pipeline, tenant)
    except Exception as error:
        notify(f"Loaded, but keys and indexes could not be looked after. {explain(error).text}")
    try:
        marts.ensure(pipeline, protection, clients.destination_client(pipeline))
    except Exception as error:
        notify(f"Loaded, but the views could not be made or brought up to date: {explain(error).text}")
