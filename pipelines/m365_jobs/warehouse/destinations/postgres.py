"""Support PostgreSQL: leases in a table, and advisory locks that end with their connection."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.extract import DltResource

from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.sql_rows import prune_states

TIMEOUTS: dict[str, Any] = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
"""Parameters of libpq: a load notices within 60 s that its packets are lost. By itself Linux waits for two hours, and
for 15 minutes where it has sent something. The server has the same ones with ``tcp_`` before their names."""


class PostgresDestination(WarehouseDestination):
    """Describe a PostgreSQL server."""

    types = ("postgres",)
    lease = "m365_jobs.locks.postgres:PostgresLease"
    lease_table = "load_leases"
    keeps_connection = True
    staging_datasets = 16
    truncates_staging = True
    changes_tenants = True

    def complete(self, config: Any) -> None:
        """Let both ends of a connection notice a lost network, unless the connection string says how."""
        if (credentials := getattr(config, "credentials", None)) is None:
            return
        query: dict[str, Any] = dict(credentials.query or {})
        if not any(name.startswith(("keepalives", "tcp_user_timeout")) for name in query):
            query |= TIMEOUTS
        if "tcp_" not in query.get("options", ""):
            # The server keeps the locks of a load until it notices. Startup options outlast RESET ALL, which dlt sends
            # after each error.
            own = [f"-ctcp_{name.removeprefix('tcp_')}={value}" for name, value in TIMEOUTS.items()]
            # dlt writes a space in an address as +, which libpq does not decode: other programs could not connect.
            query["options"] = "\t".join([query.get("options", ""), *own]).strip()
        credentials.query = query

    def begin_reading(self, client: Any) -> None:
        """Make the session read-only, with times in UTC."""
        client.execute_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        client.execute_sql("SET TIME ZONE 'UTC'")

    def adapt(self, resource: DltResource, pipeline: dlt.Pipeline) -> None:
        """Let rows be copied where that keeps their texts."""
        # Arrow is a tenth of the start-up of a reader.
        from m365_jobs.warehouse.destinations import postgres_copy

        resource.add_map(postgres_copy.format_choice())

    def make_queries_interruptible(self) -> None:
        """Make psycopg2 wait in a way that Ctrl+C interrupts."""
        try:
            from psycopg2 import extensions, extras
        except ImportError:
            return  # Opening the reader reports a missing driver.
        wait: Any = extras.wait_select
        extensions.set_wait_callback(wait)

    def before_checks(self, pipeline: dlt.Pipeline) -> None:
        """Gather statistics of new tables."""
        from m365_jobs.warehouse.destinations import postgres_keys

        postgres_keys.analyze_new(pipeline)

    def after_load(self, pipeline: dlt.Pipeline, tenant: str) -> None:
        """Create the keys and indexes that are missing, and delete old copies of the state."""
        from m365_jobs.warehouse.destinations import postgres_keys

        postgres_keys.create_missing(pipeline)
        prune_states(pipeline)
