"""Decide whether a table exists: a load hands one without rows to dlt only to create it.

dlt needs 10 to 20 ms for each table of a package, even without rows: it writes two files and merges a staging table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dlt

from avepoint_m365.schema import Table


def created_tables() -> Mapping[str, Any]:
    """Return the tables of the pipeline that runs the source, by name; none in a run that drops tables (``refresh``).

    Call it within a resource. A source that is run again, into another pipeline, still has the tables of the first.
    """
    pipeline, name = dlt.current.pipeline(), dlt.current.source_schema().name
    return {} if is_refreshed() or name not in pipeline.schema_names else pipeline.schemas[name].tables


def is_created(table: Table, tables: Mapping[str, Any]) -> bool:
    """Return whether the tables of a dlt schema, by name, include a table with all its columns."""
    columns = tables.get(table.name, {}).get("columns", {})
    return all(name in columns for name in (*table.names, *(name for name, _ in table.internal)))


def is_refreshed() -> bool:
    """Return whether this run drops or truncates tables (``refresh``)."""
    return bool(dlt.current.load_package_state()["state"].get("refresh"))
