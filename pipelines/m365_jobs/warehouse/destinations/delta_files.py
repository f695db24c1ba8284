"""Compact the files of Delta tables, and remove replaced files after a retention time."""

from __future__ import annotations

from typing import Any

import dlt
import pyarrow as pa
from avepoint_m365.config import SECTION
from deltalake import DeltaTable

from m365_jobs.config.program_keys import WAREHOUSE
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.schema import TABLES, Table
from m365_jobs.warehouse.destinations.lake_tables import PARTITION, delta_table

FILES_PER_TENANT = 20
"""Number of files of a Delta table, per tenant, above which they are compacted."""

CLEANUP_COMMITS = 20
"""Number of commits of a Delta table after which expired files and log entries are removed."""

RETENTION_KEY = "lake_retention_hours"


def retention_hours() -> int:
    """Return the retention time of replaced files in hours, from the configuration.

    Raises:
        UsageError: for anything but a whole number of hours.
    """
    key = f"{SECTION}.{RETENTION_KEY}"
    value: Any = dlt.config.get(key)
    text = str(WAREHOUSE[RETENTION_KEY].default if value is None else value)
    if not text.isdecimal():
        raise UsageError(f"{key} = {value!r} is invalid. Give a whole number of hours, such as 24.")
    return int(text)


def tidy(pipeline: dlt.Pipeline, tenant: str) -> None:
    """Compact and clean up a tenant's part of each Delta table after a load. The caller holds the tenant's lease."""
    client = pipeline.destination_client()
    for table in TABLES:
        stored = delta_table(client, table.name)
        # A table without tenants has few rows, and other loads may be writing to it.
        if stored is not None and [*PARTITION] == stored.metadata().partition_columns:
            _rewrite(stored, table, tenant)
            remove_expired_if_due(stored)


def tidy_appended(stored: DeltaTable, tenants: set[str]) -> None:
    """Compact and clean up some tenants' parts of a table after an append. The caller holds the tenants' leases."""
    for tenant in tenants:
        _compact(stored, tenant)
    remove_expired_if_due(stored)


def _rewrite(stored: DeltaTable, table: Table, tenant: str) -> None:
    """Compact files if there are many, or if a merge wrote texts as string views.

    Merges of delta-rs write string views, which pyarrow and pandas refuse to compare with texts. Compaction leaves a
    single file unchanged; a Z-order rewrites it with plain strings.
    """
    if not _has_string_views(stored, tenant):
        _compact(stored, tenant)
    else:
        columns = [name for name in table.key if name not in PARTITION]
        stored.optimize.z_order(columns, partition_filters=_of(tenant))


def _has_string_views(stored: DeltaTable, tenant: str) -> bool:
    fragments = stored.to_pyarrow_dataset(file_pruning_predicate=_of(tenant)).get_fragments()
    return any(pa.types.is_string_view(field.type) for fragment in fragments for field in fragment.physical_schema)


def _compact(stored: DeltaTable, tenant: str) -> None:
    if len(stored.file_uris(file_pruning_predicate=_of(tenant))) > FILES_PER_TENANT:
        stored.optimize.compact(_of(tenant))


def remove_expired_if_due(stored: DeltaTable) -> None:
    """Remove files and log entries older than the configured retention, every ``CLEANUP_COMMITS`` commits."""
    keep = retention_hours()
    if stored.version() % CLEANUP_COMMITS < COMMITS_OF_A_LOAD or _log_retention(stored) != _interval(keep):
        remove_expired(stored, keep)


def remove_expired(stored: DeltaTable, hours: int) -> None:
    """Remove replaced files and log entries that are older than a number of hours."""
    if _log_retention(stored) != _interval(hours):
        stored.alter.set_table_properties({LOG_RETENTION: _interval(hours)})
    stored.vacuum(retention_hours=hours, enforce_retention_duration=False, dry_run=False)
    stored.create_checkpoint()
    stored.cleanup_metadata()


def _log_retention(stored: DeltaTable) -> str | None:
    return stored.metadata().configuration.get(LOG_RETENTION)


def _interval(hours: int) -> str:
    return f"interval {hours * 3600} seconds"


LOG_RETENTION = "delta.logRetentionDuration"

COMMITS_OF_A_LOAD = 4
"""Number of commits of a load to a table: merge, rewriting and vacuum."""


def _of(tenant: str) -> Any:
    return [("tenant", "=", tenant)]
