"""Find and delete the rows of many jobs in DuckDB with one query, whose parameter is the list of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs.warehouse import clients

AMONG_IDS = "IN (SELECT unnest(CAST(%s AS VARCHAR[])))"
"""SQL condition for a column of ids; its parameter is the list of ids."""


def has_jobs(pipeline: dlt.Pipeline, table: str, tenant: str, ids: Callable[[], Sequence[str]]) -> bool:
    """Return whether a table holds a job of the tenant with one of the ids; false if the table is missing.

    ``ids`` is called only if the tenant has rows: 100,000 ids as a parameter cost 40 ms.
    """
    with clients.sql_client(pipeline) as client, suppress(DatabaseUndefinedRelation):
        name = client.make_qualified_table_name(table)
        return _has_rows(client, name, tenant) and _has_rows(client, name, tenant, f" AND id {AMONG_IDS}", ids())
    return False


def delete_child_rows(
    pipeline: dlt.Pipeline, tables: Iterable[str], tenant: str, ids: Callable[[], Sequence[str]]
) -> None:
    """Delete the rows of a tenant's jobs from child tables; missing tables are skipped, and those without its rows."""
    with clients.sql_client(pipeline) as client:
        for table in tables:
            with suppress(DatabaseUndefinedRelation):
                name = client.make_qualified_table_name(table)
                if _has_rows(client, name, tenant):
                    client.execute_sql(f"DELETE FROM {name} WHERE tenant = %s AND job_id {AMONG_IDS}", tenant, ids())


def _has_rows(client: Any, name: str, tenant: str, condition: str = "", *parameters: Any) -> bool:
    """Return whether a table, by its qualified name, holds a row of the tenant for which a further condition holds."""
    return bool(client.execute_sql(f"SELECT 1 FROM {name} WHERE tenant = %s{condition} LIMIT 1", tenant, *parameters))
