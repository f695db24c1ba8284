"""Test loads with nothing new: their log rows are written without a dlt run, together, and only under a lease."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Dialect, Simulator, make_world
from m365_jobs.config.tenants import Tenant
from m365_jobs.load.options import LoadOptions
from m365_jobs.load.run import load
from m365_jobs.load.unchanged import LogRowBuffer, TenantLogRows, write_log_rows
from m365_jobs.locks.base import TenantLockedError, lease_of
from m365_jobs.locks.pipeline_folder import folder_lock
from m365_jobs.warehouse.pipeline import pipeline_name

from tests.support.cli import NOW
from tests.support.tenant import Tenant as ControlledTenant
from tests.support.warehouse import Warehouse, empty_warehouse
from tests.support.worlds import settings

RUNS = "SELECT tenant, status FROM load_runs ORDER BY tenant, started_at"


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(make_world(30, seed=1, now=NOW)) as simulator:
        yield simulator


def load_tenant(place: Warehouse, simulator: Simulator, tenant: str, log: LogRowBuffer | None = None) -> None:
    options = LoadOptions(
        destination=place.destination, source=settings(simulator), tenant=Tenant(tenant), log_buffer=log
    )
    load(options, Progress(), place.messages.append)


def test_a_load_with_nothing_new_leaves_dlts_folder_alone(place: Warehouse, simulator: Simulator) -> None:
    place.load(simulator)
    place.load(simulator)
    folder = Path(place.pipeline().working_dir)
    # Opening a pipeline changes this file.
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json") if file.name != "state.json"}
    simulator.asked.clear()
    summary = place.load(simulator)
    assert len([asked for asked in simulator.asked if "jobs" in asked.path]) == 1
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert (summary.new, summary.changed, summary.unchanged > 0) == (0, 0, True)
    assert place.rows(RUNS) == [("default", "complete")] * 3
    audit = f"SELECT complete FROM load_audit WHERE run_id = '{summary.run_id}'"
    assert place.rows(audit) == [(True,)]


@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
def test_a_load_of_a_tenant_without_jobs_leaves_dlts_folder_alone(place: Warehouse) -> None:
    with Simulator(make_world(0)) as empty:
        place.load(empty)
        folder = Path(place.pipeline().working_dir)
        before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json") if file.name != "state.json"}
        place.load(empty)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert place.rows(RUNS) == [("default", "complete")] * 2


@pytest.mark.parametrize("before", [0, 30])
@pytest.mark.usual(1)
def test_a_list_of_20_jobs_is_doubted_only_where_the_server_never_sent_a_larger_page(
    tenant: ControlledTenant, before: int
) -> None:
    tenant.simulator.dialect = Dialect(total_basis="absent", link="no_more")
    for number in range(before):
        tenant.put(f"old {number}", -500 - number, -499.5 - number)
    for number in range(20):
        tenant.put(f"new {number}", -10 - number / 10, -9 - number / 10)
    tenant.load()
    tenant.load()
    tenant.load()
    requests = [asked for asked in tenant.simulator.asked if "jobs" in asked.path]
    assert (len(requests) == 1) == bool(before)
    assert tenant.agrees()


@pytest.mark.usual(1)
@pytest.mark.parametrize("missing", ["load_runs", "reconciliations", "load_check_failures"])
@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
def test_a_load_with_nothing_new_creates_a_missing_log_table(
    place: Warehouse, simulator: Simulator, missing: str
) -> None:
    for _ in range(2):
        place.load(simulator)
    remaining = len(place.rows(RUNS)) if missing != "load_runs" else 0
    with duckdb.connect("m365_warehouse.duckdb") as connection:
        connection.execute(f"DROP TABLE m365_jobs.{missing} CASCADE")
    summary = place.load(simulator)
    assert place.rows(RUNS) == [("default", "complete")] * (remaining + 1)
    assert place.rows(f"SELECT complete FROM load_audit WHERE run_id = '{summary.run_id}'") == [(True,)]


def test_other_loads_of_a_tenant_are_excluded_until_its_log_rows_are_written(
    place: Warehouse, simulator: Simulator
) -> None:
    for _ in range(2):
        load_tenant(place, simulator, "contoso")
    failures: list[BaseException] = []
    log = LogRowBuffer(lambda _, error: failures.append(error))
    load_tenant(place, simulator, "contoso", log)
    assert place.rows(RUNS) == [("contoso", "complete")] * 2
    with pytest.raises(TenantLockedError), folder_lock(pipeline_name("contoso"), timedelta(), place.messages.append):
        raise AssertionError("the folder was free")
    log.flush()
    assert not failures
    assert place.rows(RUNS) == [("contoso", "complete")] * 3
    load_tenant(place, simulator, "contoso")
    assert place.rows(RUNS) == [("contoso", "complete")] * 4


def run_row(tenant: str) -> dict[str, Any]:
    row = {"run_id": tenant * 4, "tenant": tenant, "status": "complete", "started_at": NOW, "ended_at": NOW}
    return row | {"requests": 1, "jobs": 0, "product_version": "0.1.0"}


@pytest.mark.parametrize("place", ["postgres", "filesystem"], indirect=True)
def test_a_tenant_whose_lease_was_lost_gets_no_log_rows(place: Warehouse, simulator: Simulator) -> None:
    """Test a lost lease: the worker that acquired it records its own load."""
    place.load(simulator)
    failures: list[str] = []
    waiting = []
    for tenant in ("lost", "held"):
        lease = lease_of(place.pipeline(tenant), tenant, "f" * 32, place.messages.append)
        lease.acquire(None, 1, place.messages.append)
        rows = {"load_runs": [run_row(tenant)]}
        waiting.append(
            TenantLogRows(
                place.pipeline(tenant), lease, rows, place.messages.append, lambda error: failures.append(str(error))
            )
        )
    lease = waiting[0].lease
    # Another worker sees that the lease was not renewed for too long.
    thief = lease_of(place.pipeline("lost"), "lost", "e" * 32, place.messages.append)
    expire(place)
    thief.acquire(None, 1, place.messages.append)
    write_log_rows(waiting)
    assert place.rows(RUNS) == [("default", "complete"), ("held", "complete")]
    assert failures == ["Lost the lease while log rows waited; nothing was written."]
    for item in (thief, waiting[1].lease, lease):
        item.__exit__(None, None, None)


def expire(place: Warehouse) -> None:
    """Make the lease of the tenant `lost` look as if its holder ended long ago."""
    if place.destination == "postgres":
        with place.pipeline().sql_client() as client:
            table = client.make_qualified_table_name("load_leases")
            client.execute_sql(f"UPDATE {table} SET expires_at = now() - interval '1 hour' WHERE tenant = 'lost'")
        return
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    stored = DeltaTable(f"lake/m365_jobs_leases/{pipeline_name('lost')}")
    old = stored.to_pyarrow_table().to_pylist()
    old[0]["renewed_at"] -= timedelta(hours=1)
    write_deltalake(stored, pa.Table.from_pylist(old, schema=stored.to_pyarrow_table().schema), mode="overwrite")
