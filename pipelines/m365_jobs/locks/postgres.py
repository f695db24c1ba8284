"""Keep leases in PostgreSQL: a row of ``load_leases`` for each tenant, which expires by the server's clock.

Locks of the server keep apart what must not be written at once.
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
TAKE = """
INSERT INTO {0} AS held (tenant, holder, expires_at) VALUES (%s, %s, now() + %s * interval '1 second')
ON CONFLICT (tenant) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE held.expires_at NOT BETWEEN now() AND now() + %s * interval '1 second'
AND (held.ended_at > now() - %s * interval '1 second' AND held.ended_at <= now()) IS NOT TRUE
RETURNING 1
"""
"""Times to come are of a clock that was put back since, and say nothing; those who hold a lease renew it."""

LOOK = "SELECT holder, expires_at > now(), extract(epoch FROM now() - ended_at)::bigint FROM {} WHERE tenant = %s"
RENEW = "UPDATE {} SET expires_at = now() + %s * interval '1 second' WHERE tenant = %s AND holder = %s RETURNING 1"
STILL_HOLDS = "SELECT 1 FROM {} WHERE tenant = %s AND holder = %s FOR SHARE"
"""Has another worker that takes the lease wait until the transaction ends."""

GIVE_BACK = "UPDATE {} SET holder = NULL, expires_at = '-infinity', ended_at = now() WHERE tenant = %s AND holder = %s"


class PostgresLease(RenewableLease):
    """Keep a row of ``load_leases``. Between two statements no connection is kept, as there may be many leases."""

    _client: Any = None

    def _try(self, age: float) -> str:
        # Made here for the thread that renews: dlt reads the configuration for the thread that asks.
        self._client = self._client or self._pipeline.sql_client()
        with self._client as client:
            try:
                taken = self._take(client, age)
            except DatabaseUndefinedRelation:
                self._create(client)
                taken = self._take(client, age)
            if taken:
                return ""
            ((holder, is_locked, ago),) = self._execute(client, LOOK, self._tenant)
        # A lease may expire between the two statements; then it is free at the next look.
        return self._running(holder) if is_locked or ago is None else self._too_young(ago)

    def _take(self, client: Any, age: float) -> bool:
        lasts = leases.SECONDS
        return bool(self._execute(client, TAKE, self._tenant, self._holder, lasts, 2 * lasts, age))

    def _create(self, client: Any) -> None:
        refuse_encoding(client)
        contract.refuse_others(self._pipeline)
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
            return bool(self._execute(connected, RENEW, leases.SECONDS, self._tenant, self._holder))

    def _give_back(self) -> None:
        with self._client as client:
            self._execute(client, GIVE_BACK, self._tenant, self._holder)

    @contextmanager
    def _kept_apart(self, client: Any) -> Iterator[None]:
        # A machine that lost its power does not say goodbye, and its locks must not stay for hours.
        client.execute_sql(
            "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 4"
        )
        # dlt's staging tables belong to one load at a time, and no second load writes the same tenant.
        self._lock(client, "pg_advisory_lock", client.staging_dataset_name)
        # What changes no tables may go on beside others of its kind.
        shared = _makes_no_tables(self._pipeline, client)
        self._lock(client, "pg_advisory_lock_shared" if shared else "pg_advisory_lock", client.dataset_name)
        # The locks end with the connection.
        yield

    def may_append(self, client: Any) -> bool:
        """Return whether the lease still belongs to its holder, and keep out loads that change tables."""
        # Until the connection ends, no load makes tables or columns.
        self._lock(client, "pg_advisory_lock_shared", client.dataset_name)
        return super().may_append(client)

    def guard(self, client: Any) -> Any:
        """Return a client of dlt that neither begins a job nor commits without the lease."""
        sql = super().guard(client).sql_client
        # The client may be inside the staging dataset when it commits.
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


def _makes_no_tables(pipeline: dlt.Pipeline, client: Any) -> bool:
    """Return whether the destination has the tables and columns of the pipeline's schemas, so that dlt makes none."""
    try:
        rows = client.execute_sql(f"SELECT version_hash FROM {client.make_qualified_table_name('_dlt_version')}")
    except DatabaseUndefinedRelation:
        return False
    known = {row[0] for row in rows}
    return bool(known) and {pipeline.schemas[name].version_hash for name in pipeline.schema_names} <= known
