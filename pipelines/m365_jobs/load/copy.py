"""Copy all rows and cursors of a DuckDB warehouse to another destination, so that loads continue there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt

from m365_jobs.config.program_keys import DEFAULT_DESTINATION
from m365_jobs.errors.exceptions import UsageError, WarehouseError
from m365_jobs.load.copy_rows import StoredRows, TenantRows, read_only, run_ids, stored_rows, table_names
from m365_jobs.locks.base import lease_of
from m365_jobs.locks.pipeline_folder import LOCK_WAIT, folder_lock, write_lock
from m365_jobs.schema import SCHEMA
from m365_jobs.text import format_count
from m365_jobs.warehouse import contract
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.reader import open_reader
from m365_jobs.warehouse.target import address_of, duckdb_file, fingerprint, open_warehouse


@dataclass
class CopyResult:
    """Hold the address of the copy, and the copied rows of each table by tenant."""

    warehouse: str
    rows: dict[str, dict[str, int]] = field(default_factory=dict)


def copy_tenants(
    destination: str,
    dataset: str | None,
    notify: Callable[[str], None],
    tenants: Sequence[str] = (),
    from_dataset: str | None = None,
) -> CopyResult:
    """Copy a dataset of the configured DuckDB file, tenant by tenant; all tenants if ``tenants`` is empty.

    Rows and cursors of a tenant are one load package: they arrive together or not at all. A copy may be repeated.

    Raises:
        UsageError: if there is no DuckDB warehouse, if it is the destination, or if it does not hold a tenant.
        WarehouseError: if the destination has loads of its own, whose cursors a copy would move back.
    """
    origin = open_warehouse(DEFAULT_DESTINATION, from_dataset)
    target = open_warehouse(destination, dataset)
    file = duckdb_file(origin)
    if file is None or not file.exists():
        raise UsageError(f"There is no DuckDB warehouse to copy: {file or 'the configured one'} is not a file.")
    if fingerprint(origin) == fingerprint(target):
        raise UsageError(f"The warehouse is already there: {address_of(target)}. Name another destination.")
    with open_reader(origin):
        pass  # It refuses a file that a newer version has loaded into.
    result = CopyResult(address_of(target))
    present = _tenants(file, origin.dataset_name)
    for tenant in tenants:
        if tenant not in present:
            raise UsageError(f"The warehouse holds nothing of tenant {tenant!r}.")
    for tenant in dict.fromkeys(tenants) or present:
        # The lock of a load: no load of the tenant writes to the file or to the destination in the meantime.
        with folder_lock(warehouse.pipeline_name(tenant), None, notify):
            _notify_of_pending(tenant, notify)
            notify(f"Copying tenant {tenant} to {result.warehouse}.")
            pipeline = warehouse.open_pipeline(tenant, destination, dataset, folder=_folder("to"))
            result.rows[tenant] = _copy(tenant, file, origin.dataset_name, pipeline, notify)
    return result


def _notify_of_pending(tenant: str, notify: Callable[[str], None]) -> None:
    # dlt may have been killed while it created the folders of the packages.
    with suppress(FileNotFoundError):
        if warehouse.open_pipeline(tenant, DEFAULT_DESTINATION).has_pending_data:
            notify(
                f"A load of tenant {tenant} was interrupted; what it left unfinished is not copied. Run it again, then "
                "copy again."
            )


def _tenants(file: Path, dataset: str) -> list[str]:
    with read_only(file, dataset) as connection:
        # A first load in chunks writes jobs before its run; a load that failed at once has a run and no jobs.
        asked = [name for name in ("jobs", "load_runs") if name in table_names(connection, dataset)]
        if not asked:
            raise UsageError(f"{file} holds no dataset {dataset} of this program. Name another with --from-dataset.")
        query = " UNION ".join(f"SELECT DISTINCT tenant FROM {name}" for name in asked)
        return [row[0] for row in connection.execute(f"{query} ORDER BY tenant").fetchall()]


def _folder(name: str) -> Path:
    """Return the folder for the pipelines of a copy; loads use another, whose pending packages are not copied."""
    return Path(dlt.current.run_context().get_data_entity("pipelines")) / f"{warehouse.PIPELINE}_copy_{name}"


def _state(tenant: str, file: Path, dataset: str) -> dict[str, Any]:
    """Return dlt's state of the source for a tenant, cursors included, from the warehouse."""
    credentials: Any = {"database": str(file), "read_only": True}
    pipeline = dlt.pipeline(
        warehouse.pipeline_name(tenant),
        pipelines_dir=str(_folder("from")),
        destination=dlt.destinations.duckdb(credentials=credentials),
        dataset_name=dataset,
    )
    pipeline.drop()
    pipeline.sync_destination()
    state = deepcopy(dict(pipeline.state.get("sources", {}).get(SCHEMA, {})))
    pipeline.drop()
    return state


def _copy(
    tenant: str, file: Path, dataset: str, pipeline: dlt.Pipeline, notify: Callable[[str], None]
) -> dict[str, int]:
    """Copy the rows and the state of a tenant with a separate pipeline; return the number of rows by table."""
    # The state before the rows: a cursor must never be ahead of them.
    state = _state(tenant, file, dataset)
    pipeline.drop()
    with lease_of(pipeline, tenant, "copy", notify) as lease:
        lease.acquire(None, LOCK_WAIT, notify)
        with write_lock(pipeline, lease, notify):
            contract.refuse_newer_series(pipeline)
            pipeline.sync_destination()
            contract.refuse_foreign_dataset(pipeline)
        stored = stored_rows(pipeline, tenant)
        # An open file excludes loads.
        with read_only(file, dataset) as connection:
            tables_here = table_names(connection, dataset)
            ours = run_ids(connection, tenant) if "load_audit" in tables_here else set()
            _ensure_no_loads_of_its_own(ours, tenant, stored, address_of(pipeline))
            rows = TenantRows(file, dataset, tenant, tables_here, stored, kind_of(pipeline).is_lake)
            source = contract.prepare(rows.source(state), pipeline)
            pipeline.extract(source, loader_file_format=contract.file_format(pipeline))
        pipeline.normalize()
        with write_lock(pipeline, lease, notify):
            pipeline.load()
            contract.finish_load(pipeline, tenant, notify)
    pipeline.drop()
    return rows.counted


def _ensure_no_loads_of_its_own(ours: set[str], tenant: str, stored: StoredRows, address: str) -> None:
    # load_runs is no proof: it has loads that failed before they wrote, and lacks loads killed between chunks.
    if others := set(stored.keys["load_audit"]["run_id"].to_pylist()) - ours:
        raise WarehouseError(
            f"Not copied: {address} has {format_count(len(others), 'load')} of tenant {tenant} that this warehouse "
            "lacks, so loads write there already. A copy would replace newer jobs and cursors by older ones. Load "
            "there, or copy into another dataset with --dataset."
        )
