"""Support PostgreSQL: leases in a table, and advisory locks that end with their connection."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.extract import DltResource

from m365_jobs.warehouse.destinations.base import WarehouseDestination
from m365_jobs.warehouse.destinations.sql_rows import prune_states


class PostgresDestination(WarehouseDestination):
    """Describe a PostgreSQL server."""

    types = ("postgres",)
    lease = "m365_jobs.locks.postgres:PostgresLease"
    lease_table = "load_leases"
    keeps_connection = True
    staging_datasets = 16
    truncates_staging = True
    changes_tenants = True

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
