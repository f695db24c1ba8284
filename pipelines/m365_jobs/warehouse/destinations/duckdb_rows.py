"""Look for and delete rows of many jobs in DuckDB at once: their ids are one parameter of a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs.warehouse import clients

AMONG_IDS = "IN (SELECT unnest(CAST(%s AS VARCHAR[])))"
"""Condition on a column of ids, whose parameter is a list of them."""


def has_jobs(pipeline: dlt.Pipeline, table: str, tenant: str, ids: Sequence[str]) -> bool:
    """Return whether a table of jobs holds one of the ids of a tenant; false if there is no table."""
    with clients.sql_client(pipeline) as client, suppress(DatabaseUndefinedRelation):
        name = client.make_qualified_table_name(table)
        query = f"SELECT 1 FROM {name} WHERE tenant = %s AND id {AMONG_IDS} LIMIT 1"
        return bool(client.execute_sql(query, tenant, ids))
    return False


def delete_parts(pipeline: dlt.Pipeline, tables: Iterable[str], tenant: str, ids: Sequence[str]) -> None:
    """Delete the parts of a tenant's jobs from tables; those that do not exist are passed over."""
    with clients.sql_client(pipeline) as client:
        for table in tables:
            with suppress(DatabaseUndefinedRelation):
                name = client.make_qualified_table_name(table)
                client.execute_sql(f"DELETE FROM {name} WHERE tenant = %s AND job_id {AMONG_IDS}", tenant, ids)
