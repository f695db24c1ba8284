"""Workers that share nothing but the warehouse: no tenant is loaded by two at once, and none writes into another.

On PostgreSQL the lease of a tenant is a row of ``load_leases``, which expires by the server's clock; locks of the
server keep apart what must not be written at once. A DuckDB file is a lock by itself. Other destinations have neither:
let one machine load at a time there.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from m365_jobs import destinations
from m365_jobs.errors import UsageError, WarehouseError, explain

SECONDS = 60.0
"""How long a lease lasts that nobody renews. Its holder renews it every third of that."""

POLL = 1.0
"""Seconds between two looks whether a lease is free."""

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
GIVE_BACK = "UPDATE {} SET holder = NULL, expires_at = '-infinity', ended_at = now() WHERE tenant = %s AND holder = %s"

Say = Callable[[str], None]


class Busy(WarehouseError):
    """Another worker is loading the tenant, or has just done so."""


def has_leases(destination_type: str) -> bool:
    """Whether a destination of that type can keep leases."""
    return destination_type.endswith(".postgres")


def refuse_age(min_age: timedelta | None, destination_type: str) -> None:
    """Refuses an age above 0 for a destination that keeps no leases, and so does not know when a load ended.

    Raises:
        UsageError: saying what it is for.
    """
    if min_age and not has_leases(destination_type):
        raise UsageError("--min-age-minutes is for workers that share a warehouse in PostgreSQL.")


class Lease:
    """A tenant's lease, where the warehouse has no such thing: there to be taken by anyone."""

    def take(self, min_age: timedelta | None, patience: float, say: Say) -> None:
        """Takes the lease before anything is read.

        With ``min_age`` raises ``Busy`` where another worker has it, or has given it back less than that ago; without,
        waits for it, at most ``patience`` seconds.

        Raises:
            UsageError: for an age above 0, where the warehouse has no leases.
        """
        refuse_age(min_age, "")

    def before_writing(self, client: Any) -> None:
        """Waits until the holder of an open connection may write, and makes sure that the lease is still its own.

        Raises:
            WarehouseError: where another worker has taken the lease meanwhile.
        """

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


def lease_of(pipeline: dlt.Pipeline, tenant: str, run_id: str, say: Say) -> Lease:
    """The lease of a tenant in the pipeline's warehouse, not taken yet; given back at the end of its ``with``."""
    kept = has_leases(pipeline.destination.destination_type)
    return PostgresLease(pipeline, tenant, run_id, say) if kept else Lease()


class PostgresLease(Lease):
    """A row of ``load_leases``. Between two statements no connection is kept, as there may be many leases."""

    def __init__(self, pipeline: dlt.Pipeline, tenant: str, run_id: str, say: Say) -> None:
        self._pipeline, self._tenant, self._say = pipeline, tenant, say
        self._holder = f"{socket.gethostname()}, process {os.getpid()}, run {run_id[:8]}"
        self._ended, self._renewing = threading.Event(), threading.Thread(target=self._renew, daemon=True)
        self._client: Any = None

    def take(self, min_age: timedelta | None, patience: float, say: Say) -> None:
        age, give_up, told = (min_age or timedelta()).total_seconds(), time.monotonic() + patience, False
        while busy := self._busy(age):
            if min_age is not None:
                raise Busy(busy)
            if time.monotonic() > give_up:
                raise Busy(f"{busy} Waited {patience / 60:.0f} minutes for it. End that load, then run this again.")
            if not told:
                say(f"{busy} Waiting for it (at most {patience / 60:.0f} minutes).")
            told = True
            time.sleep(POLL)
        # Made here: dlt reads the configuration for the thread that asks.
        self._client = self._pipeline.sql_client()
        self._renewing.start()

    def _busy(self, age: float) -> str:
        """Takes the lease, or says why it is not to be had."""
        with self._pipeline.sql_client() as client:
            try:
                taken = self._execute(client, TAKE, self._tenant, self._holder, SECONDS, 2 * SECONDS, age)
            except DatabaseUndefinedRelation:
                self._create(client)
                taken = self._execute(client, TAKE, self._tenant, self._holder, SECONDS, 2 * SECONDS, age)
            if taken:
                return ""
            ((holder, held, ago),) = self._execute(client, LOOK, self._tenant)
        if held:
            return f"Another load of tenant {self._tenant} is running ({holder})."
        return f"The last load of tenant {self._tenant} ended {ago} seconds ago."

    def _create(self, client: Any) -> None:
        destinations.refuse_others(self._pipeline)
        with client.begin_transaction():
            client.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", f"m365_jobs {client.dataset_name} leases")
            if not client.has_dataset():
                client.create_dataset()
            self._execute(client, CREATE)

    @staticmethod
    def _execute(client: Any, sql: str, *values: Any) -> Any:
        return client.execute_sql(sql.format(client.make_qualified_table_name("load_leases")), *values)

    def _renew(self) -> None:
        while not self._ended.wait(SECONDS / 3):
            try:
                with self._client as client:
                    self._execute(client, RENEW, SECONDS, self._tenant, self._holder)
            except Exception as error:
                # Whether the lease outlived this is seen before anything is written.
                self._say(f"The lease of tenant {self._tenant} could not be renewed yet. {explain(error).text}")

    def before_writing(self, client: Any) -> None:
        # A machine that lost its power does not say goodbye, and its locks must not stay for hours.
        client.execute_sql(
            "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 4"
        )
        # dlt's staging tables belong to one load at a time, and no second load writes the same tenant.
        self._lock(client, "pg_advisory_lock", client.staging_dataset_name)
        # What changes no tables may go on beside others of its kind.
        shared = _makes_no_tables(self._pipeline, client)
        self._lock(client, "pg_advisory_lock_shared" if shared else "pg_advisory_lock", client.dataset_name)
        if not self._execute(client, RENEW, SECONDS, self._tenant, self._holder):
            raise WarehouseError(
                f"This load of tenant {self._tenant} stood still for so long that another took its place, so it wrote "
                "no more. Nothing is lost: the other, or the next, loads the same jobs."
            )

    @staticmethod
    def _lock(client: Any, function: str, dataset: str) -> None:
        client.execute_sql(f"SELECT {function}(hashtext(%s))", f"m365_jobs {dataset}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._client is None:
            return
        self._ended.set()
        self._renewing.join()
        try:
            with self._client as client:
                self._execute(client, GIVE_BACK, self._tenant, self._holder)
        except Exception as error:
            why = explain(error).text
            self._say(f"The lease of tenant {self._tenant} ends within {SECONDS:.0f} seconds, not at once. {why}")


def _makes_no_tables(pipeline: dlt.Pipeline, client: Any) -> bool:
    """Whether the destination has the tables and columns of the pipeline's schemas, so that dlt makes none."""
    try:
        rows = client.execute_sql(f"SELECT version_hash FROM {client.make_qualified_table_name('_dlt_version')}")
    except DatabaseUndefinedRelation:
        return False
    known = {row[0] for row in rows}
    return bool(known) and {pipeline.schemas[name].version_hash for name in pipeline.schema_names} <= known
