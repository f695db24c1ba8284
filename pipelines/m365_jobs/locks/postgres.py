"""Keep leases in PostgreSQL: a row of ``load_leases`` for each tenant, which expires by the server's clock.

Advisory locks exclude loads that must not write at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs.locks import base as leases
from m365_jobs.locks.base import RenewableLease
from m365_jobs.warehouse import contract
from m365_jobs.warehouse.destinations.postgres import PostgresDestination
from m365_jobs.warehouse.destinations.postgres_keys import refuse_encoding

CREATE = (
    "CREATE TABLE IF NOT EXISTS {} "
    "(tenant text PRIMARY KEY, holder text, expires_at timestamptz NOT NULL, ended_at timestamptz)"
)
ACQUIRE = """
INSERT INTO {0} AS held (tenant, holder, expires_at) VALUES (%s, %s, now() + %s * interval '1 second')
ON CONFLICT (tenant) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE held.expires_at NOT BETWEEN now() AND now() + %s * interval '1 second'
AND (held.ended_at > now() - %s * interval '1 second' AND held.ended_at <= now()) IS NOT TRUE
RETURNING 1
"""
"""Times in the future came from a wrong clock and are ignored; a holder renews its lease in any case."""

STATUS = "SELECT holder, expires_at > now(), extract(epoch FROM now() - ended_at)::bigint FROM {} WHERE tenant = %s"
RENEW = "UPDATE {} SET expires_at = now() + %s * interval '1 second' WHERE tenant = %s AND holder = %s RETURNING 1"
STILL_HOLDS = "SELECT 1 FROM {} WHERE tenant = %s AND holder = %s FOR SHARE"
"""Makes another worker that acquires the lease wait until the transaction ends."""

RELEASE = "UPDATE {} SET holder = NULL, expires_at = '-infinity', ended_at = now() WHERE tenant = %s AND holder = %s"


class PostgresLease(RenewableLease):
    """Keep a row of ``load_leases``. No connection stays open between statements, since there may be many leases."""

    _client: Any = None

    def _try_acquire(self, age: float) -> str:
        # Created here for the thread that renews: dlt resolves the configuration per thread.
        self._client = self._client or self._pipeline.sql_client()
        with self._client as client:
            try:
                acquired = self._acquire(client, age)
            except DatabaseUndefinedRelation:
                self._create(client)
                acquired = self._acquire(client, age)
            if acquired:
                return ""
            ((holder, is_locked, ago),) = self._execute(client, STATUS, self._tenant)
        # The lease may expire between the two statements; the next attempt then acquires it.
        return self._running(holder) if is_locked or ago is None else self._loaded_recently(ago)

    def _acquire(self, client: Any, age: float) -> bool:
        lasts = leases.LEASE_SECONDS
        return bool(self._execute(client, ACQUIRE, self._tenant, self._holder, lasts, 2 * lasts, age))

    def _create(self, client: Any) -> None:
        refuse_encoding(client)
        contract.refuse_foreign_tables(self._pipeline)
        with client.begin_transaction():
            client.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", f"m365_jobs {client.dataset_name} leases")
            if not client.has_dataset():
                client.create_dataset()
            self._execute(client, CREATE)

    @staticmethod
    def _execute(client: Any, sql: str, *values: Any) -> Any:
        return client.execute_sql(
            sql.format(client.make_qualified_table_name(PostgresDestination.lease_table)), *values
        )

    def _renew(self, client: Any = None) -> bool:
        with nullcontext(client) if client else self._client as connected:
            return bool(self._execute(connected, RENEW, leases.LEASE_SECONDS, self._tenant, self._holder))

    def _release(self) -> None:
        with self._client as client:
            self._execute(client, RELEASE, self._tenant, self._holder)

    @contextmanager
    def _exclude_other_writers(self, client: Any) -> Iterator[None]:
        # dlt's staging tables belong to one load at a time, and no second load writes the same tenant.
        self._lock(client, "pg_advisory_lock", client.staging_dataset_name)
        # Loads that create no tables write in parallel.
        shared = _has_all_tables(self._pipeline, client)
        self._lock(client, "pg_advisory_lock_shared" if shared else "pg_advisory_lock", client.dataset_name)
        # The locks end with the connection.
        yield

    def may_append(self, client: Any) -> bool:
        """Exclude loads that create tables until the connection ends; return whether the lease is still held."""
        self._lock(client, "pg_advisory_lock_shared", client.dataset_name)
        return super().may_append(client)

    def guard(self, client: Any) -> Any:
        """Return a client of dlt that neither starts a job nor commits without the lease."""
        sql = super().guard(client).sql_client
        # The table is qualified here: the client may be in the staging dataset when it commits.
        question = STILL_HOLDS.format(self._client.make_qualified_table_name(PostgresDestination.lease_table))
        commit = sql.commit_transaction

        def commit_guarded() -> None:
            if not sql.execute_sql(question, self._tenant, self._holder):
                self._lost()
            commit()

        sql.commit_transaction = commit_guarded
        return client

    @staticmethod
    def _lock(client: Any, function: str, dataset: str) -> None:
        client.execute_sql(f"SELECT {function}(hashtext(%s))", f"m365_jobs {dataset}")


def _has_all_tables(pipeline: dlt.Pipeline, client: Any) -> bool:
    """Return whether the server has the tables and columns of the pipeline's schemas, so that dlt creates none.

    The hash of a schema does not show it: it also covers the file formats of the last load.
    """
    rows = client.execute_sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", client.dataset_name
    )
    existing = set(rows)
    # A new pipeline has no schema to compare; dlt's own table shows that another load has created the tables.
    return ("_dlt_version", "version_hash") in existing and all(
        (table, column) in existing
        for schema in map(pipeline.schemas.__getitem__, pipeline.schema_names)
        for table in schema.tables
        for column in schema.get_table_columns(table)
    )
