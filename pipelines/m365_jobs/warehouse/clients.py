"""Make the clients with which a load asks its warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import dlt

if TYPE_CHECKING:
    from m365_jobs.warehouse.target import Target

_schemas: WeakKeyDictionary[dlt.Pipeline, dlt.Schema] = WeakKeyDictionary()


def sql_client(target: Target) -> Any:
    """Return a client for SQL, not connected yet. It knows how tables are named, not which there are.

    A client of a pipeline reads the schema of all tables from its folder: 5 ms each time, a tenth of a small load.

    Raises:
        SqlClientNotAvailable: for a destination without SQL.
    """
    return _dataset(target).sql_client if isinstance(target, dlt.Pipeline) else target.sql_client()


def destination_client(target: Target) -> Any:
    """Return a client for all that the destination can do, not connected yet; see ``sql_client``."""
    return _dataset(target).destination_client if isinstance(target, dlt.Pipeline) else target.destination_client()


def _dataset(pipeline: dlt.Pipeline) -> dlt.Dataset:
    schema = _schemas.get(pipeline)
    if schema is None:
        # The first client is the pipeline's: dlt then looks into the sections of the configuration that bear its name.
        schema = _schemas[pipeline] = pipeline.destination_client().schema
    return dlt.dataset(pipeline.destination, pipeline.dataset_name, schema=schema)
