"""Create primary keys and indexes in PostgreSQL: dlt creates none for compound keys, and BI tools need them."""

from __future__ import annotations

from typing import Any

import dlt

from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.marts.dialects import LOCK_TIMEOUT
from m365_jobs.warehouse import clients

PRIMARY_KEYS = {
    "jobs": "tenant, id",
    "jobs__backup_details": "tenant, job_id",
    "jobs__job_errors": "tenant, job_id, error_index",
}
INDEXES = {
    # Jobs of a period by service, and the days of a chart.
    "jobs_by_finish": ("jobs", "(finish_time, tenant, object_type)"),
    "jobs_by_service": ("jobs", "(tenant, object_type, finish_time)"),
    "jobs_open": ("jobs", "(tenant, start_time) WHERE finish_time IS NULL"),
    # The data checks of a load.
    "jobs_by_fetch": ("jobs", "(fetched_at)"),
    "load_audit_by_run": ("load_audit", "(run_id)"),
    "load_audit_by_service": ("load_audit", "(tenant, object_type, started_at)"),
    "load_runs_by_start": ("load_runs", "(started_at)"),
}
"""Index to its table and columns."""


MISSING = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
"""


NEVER_ANALYZED = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' AND c.reltuples < 0
"""


def refuse_encoding(client: Any) -> None:
    """Refuse a database that cannot store every text of the API.

    Raises:
        WarehouseError: for any encoding but UTF-8; each load would fail from the first character that it lacks.
    """
    ((encoding,),) = client.execute_sql("SHOW server_encoding")
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database has the encoding {encoding}, which cannot hold every text of the API. Nothing was written. "
            "Create one with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and load into that."
        )


def analyze_new(pipeline: dlt.Pipeline) -> None:
    """Gather statistics of tables that have none yet.

    Without them, the checks of a first load join 100,000 errors with jobs in nested loops: 17 s instead of 0.7 s.
    """
    with clients.sql_client(pipeline) as client:
        _analyze(client)


def _analyze(client: Any) -> None:
    for (name,) in client.execute_sql(NEVER_ANALYZED, client.fully_qualified_dataset_name(quote=False)) or []:
        client.execute_sql(f"ANALYZE {client.make_qualified_table_name(name)}")


def create_missing(pipeline: dlt.Pipeline) -> None:
    """Create the keys and indexes that existing tables lack.

    Raises:
        DatabaseException: if the user does not own the tables, keys are not unique, or a transaction that has read a
            table is open.
    """
    with clients.sql_client(pipeline) as client:
        dataset = client.fully_qualified_dataset_name(quote=False)
        with client.begin_transaction():
            # Two loads may create them at once.
            client.execute_sql("SELECT pg_catalog.pg_advisory_xact_lock(hashtext(%s))", dataset)
            client.execute_sql(LOCK_TIMEOUT)
            without_key = {row[0] for row in client.execute_sql(MISSING, dataset) or []}
            _create(client, dataset, without_key)


def _create(client: Any, dataset: str, without_key: set[str]) -> None:
    keyless = without_key & PRIMARY_KEYS.keys()
    for name in keyless:
        client.execute_sql(
            f"ALTER TABLE {client.make_qualified_table_name(name)} ADD PRIMARY KEY ({PRIMARY_KEYS[name]})"
        )
    names = "SELECT indexname FROM pg_catalog.pg_indexes WHERE schemaname = %s"
    existing = {row[0] for row in client.execute_sql(names, dataset) or []}
    for name in INDEXES.keys() - existing:
        table, columns = INDEXES[name]
        client.execute_sql(f"CREATE INDEX {name} ON {client.make_qualified_table_name(table)} {columns}")
    # A load has analyzed new tables before its checks, a copy has not.
    _analyze(client)
