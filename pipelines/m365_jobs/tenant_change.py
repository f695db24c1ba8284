"""Rename or remove a tenant everywhere: tables, cursors, leases, alerts and the folders of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
from avepoint_m365.companions.base import scope_of
from avepoint_m365.companions.columns import VALID_FROM, VALID_TO
from avepoint_m365.companions.schema import HISTORY
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.normalizers.json.helpers import get_row_hash
from dlt.common.versioned_state import compress_state, decompress_state
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.pipeline.state_sync import bump_pipeline_state_version_if_modified

from m365_jobs.config import tenants
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.health.alerts.store import change_tenant
from m365_jobs.load.companions import ROW_HASH
from m365_jobs.load.run_log import UnsentRuns
from m365_jobs.locks.base import lease_of
from m365_jobs.locks.pipeline_folder import LOCK_WAIT, folder_lock, write_lock
from m365_jobs.schema import TABLES, Table
from m365_jobs.terminal import Notify
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.pipeline import pipeline_name
from m365_jobs.warehouse.reader import open_reader
from m365_jobs.warehouse.target import address_of, fingerprint

STATE_TABLE = "_dlt_pipeline_state"

OF_TENANTS = [table.name for table in TABLES if "tenant" in table.arrow.names]
"""Tables whose rows belong to a tenant."""


@dataclass(frozen=True)
class Preview:
    """Hold the rows of a tenant by table, and whether the configuration names it."""

    rows: dict[str, int]
    is_configured: bool


def preview(pipeline: dlt.Pipeline, tenant: str) -> Preview:
    """Return what a change of the tenant would touch.

    Raises:
        UsageError: if the warehouse does not know the tenant, or cannot change rows with SQL.
    """
    _refuse_without_sql(pipeline)
    counts: dict[str, int] = {}
    with open_reader(pipeline) as reader:
        for name in OF_TENANTS:
            try:
                (row,) = reader.rows(f"SELECT count(*) AS n FROM {reader.table(name)} WHERE tenant = %s", tenant)
            except DestinationUndefinedEntity:
                continue
            counts[name] = int(row["n"])
    if not any(counts.values()):
        raise UsageError(f"Tenant not found: {tenant}. The warehouse has no row of it.")
    return Preview(
        {name: count for name, count in counts.items() if count},
        tenant in {*tenants.configured(), configured_tenant()},
    )


def check_new_name(pipeline: dlt.Pipeline, tenant: str, new: str) -> None:
    """Refuse a name that loads refuse, or that the warehouse has.

    Raises:
        ConfigurationError: for a name with stray white space.
        UsageError: for an empty name, and if the warehouse has rows of the name.
    """
    if not new.strip():
        raise UsageError("Empty label: the new name of the tenant is empty. Give a name.")
    tenants.refuse_white_space(new, "the new name")
    with open_reader(pipeline) as reader:
        taken = reader.rows(f"SELECT 1 FROM {reader.table('load_runs')} WHERE tenant = %s LIMIT 1", new)
    if taken or pipeline_name(new) == pipeline_name(tenant):
        raise UsageError(f"Tenant exists: {new}. Choose a name that the warehouse does not have.")


def remove_tenant(pipeline: dlt.Pipeline, tenant: str, notify: Notify) -> None:
    """Delete all rows of a tenant, its cursors, lease and alerts, and its folders on this machine."""
    with _exclusive(pipeline, tenant, notify) as client:
        with client.begin_transaction():
            for name in _tables_of(client):
                client.execute_sql(f"DELETE FROM {client.make_qualified_table_name(name)} WHERE tenant = %s", tenant)
            states = client.make_qualified_table_name(STATE_TABLE)
            client.execute_sql(f"DELETE FROM {states} WHERE pipeline_name = %s", pipeline_name(tenant))
        change_tenant(pipeline, tenant, None)
        _delete_folders(pipeline, tenant)
    _delete_lease(pipeline, tenant)


def rename_tenant(pipeline: dlt.Pipeline, tenant: str, new: str, notify: Notify) -> None:
    """Give all rows of a tenant, its cursors, lease and alerts another name, which ``check_new_name`` accepted."""
    with folder_lock(pipeline_name(new), None, notify), _exclusive(pipeline, tenant, notify) as client:
        with client.begin_transaction():
            for name in _tables_of(client):
                table = client.make_qualified_table_name(name)
                client.execute_sql(f"UPDATE {table} SET tenant = %s WHERE tenant = %s", new, tenant)
            for history in HISTORY:
                if history.name in _tables_of(client):
                    _rename_versions(client, history, new)
            _rename_state(client, pipeline_name(tenant), pipeline_name(new))
        change_tenant(pipeline, tenant, new)
        # Loads take their cursors from the warehouse.
        _delete_folders(pipeline, tenant)
    _delete_lease(pipeline, tenant)


@contextmanager
def _exclusive(pipeline: dlt.Pipeline, tenant: str, notify: Notify) -> Iterator[Any]:
    """Keep loads of the tenant out, and yield a connection that may write."""
    with (
        folder_lock(pipeline_name(tenant), None, notify),
        lease_of(pipeline, tenant, "tenant change", notify) as lease,
    ):
        lease.acquire(None, LOCK_WAIT, notify)
        with write_lock(pipeline, lease, notify), pipeline.sql_client() as client:
            yield client


def _refuse_without_sql(pipeline: dlt.Pipeline) -> None:
    if not kind_of(pipeline).changes_tenants:
        raise UsageError(
            "Not supported: tenants can be changed in DuckDB and PostgreSQL, and this destination is "
            f"{address_of(pipeline)}. "
            "Load the tenants that stay, each under its new name, into another dataset with --dataset. Then delete the "
            "folder of this one."
        )


def _tables_of(client: Any) -> list[str]:
    """Return our tables that exist, children first."""
    rows = client.execute_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE'",
        client.dataset_name,
    )
    existing = {row[0] for row in rows or ()}
    return [name for name in reversed(OF_TENANTS) if name in existing]


def _delete_lease(pipeline: dlt.Pipeline, tenant: str) -> None:
    """Delete the lease row of a tenant that is gone. While the row is held, it must keep its name to be given back."""
    if not (leases := kind_of(pipeline).lease_table):
        return
    with pipeline.sql_client() as client, suppress(DatabaseUndefinedRelation):
        client.execute_sql(f"DELETE FROM {client.make_qualified_table_name(leases)} WHERE tenant = %s", tenant)


def _rename_versions(client: Any, history: Table, tenant: str) -> None:
    """Give the versions of a tenant's settings its name where dlt compares them: in their scope and their hash."""
    table = client.make_qualified_table_name(history.name)
    names = [name for name in history.names if name not in (VALID_FROM.name, VALID_TO.name)]
    columns = ", ".join(client.escape_column_name(name) for name in names)
    rows = client.execute_sql(f"SELECT {columns}, {ROW_HASH} FROM {table} WHERE tenant = %s", tenant)
    for *values, old_hash in rows or ():
        row = dict(zip(names, values, strict=True))
        row["setting_scope"] = scope_of(tenant, row["location"])
        client.execute_sql(
            f"UPDATE {table} SET setting_scope = %s, {ROW_HASH} = %s WHERE tenant = %s AND {ROW_HASH} = %s",
            *(row["setting_scope"], get_row_hash(row), tenant, old_hash),
        )


def _rename_state(client: Any, old: str, new: str) -> None:
    """Give the newest state of a pipeline another name, in its text as well: dlt refuses one that names another."""
    states = client.make_qualified_table_name(STATE_TABLE)
    newest = f"SELECT state, version FROM {states} WHERE pipeline_name = %s ORDER BY version DESC LIMIT 1"
    for text, version in client.execute_sql(newest, old) or ():
        state: Any = decompress_state(text)
        state["pipeline_name"] = new
        bump_pipeline_state_version_if_modified(state)
        client.execute_sql(
            f"UPDATE {states} SET pipeline_name = %s, state = %s, version = %s, version_hash = %s "
            "WHERE pipeline_name = %s AND version = %s",
            *(new, compress_state(state), state["_state_version"], state["_version_hash"], old, version),
        )
    client.execute_sql(f"DELETE FROM {states} WHERE pipeline_name = %s", old)


def _delete_folders(pipeline: dlt.Pipeline, tenant: str) -> None:
    name = pipeline_name(tenant)
    UnsentRuns(pipeline.pipelines_dir, name, fingerprint(pipeline)).clear()
    shutil.rmtree(Path(pipeline.pipelines_dir) / name, ignore_errors=True)
