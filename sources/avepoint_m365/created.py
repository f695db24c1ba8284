"""Decide whether a table exists: a load hands one without rows to dlt only to create it.

dlt needs 10 to 20 ms for each table of a package, even without rows: it writes two files and merges a staging table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

from avepoint_m365.schema import Table

if TYPE_CHECKING:
    from dlt.common.schema.typing import TTableSchema


def created_tables() -> Mapping[str, TTableSchema]:
    """Return the tables of the pipeline that runs the source, by name; none in a run that drops tables (``refresh``).

    Call it within a resource. A source that is run again, into another pipeline, still has the tables of the first.
    """
    # ``dlt.current.pipeline`` returns the same pipeline after it has resolved its configuration again: 2 ms each time.
    context, name = Container()[PipelineContext], dlt.current.source_schema().name
    if is_refreshed() or not context.is_active():
        return {}
    pipeline: Any = context.pipeline()
    return pipeline.schemas[name].tables if name in pipeline.schema_names else {}


def is_created(table: Table, tables: Mapping[str, TTableSchema]) -> bool:
    """Return whether the tables of a dlt schema, by name, include a table with all its columns."""
    columns = tables.get(table.name, {}).get("columns", {})
    return all(name in columns for name in (*table.names, *(name for name, _ in table.internal)))


def is_refreshed() -> bool:
    """Return whether this run drops or truncates tables (``refresh``); False for a source that no pipeline runs."""
    try:
        return bool(dlt.current.load_package_state()["state"].get("refresh"))
    except CurrentLoadPackageStateNotAvailable:
        # A user may look at rows without a pipeline: ``for table in source``.
        return False
