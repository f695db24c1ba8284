"""Test which rows, files and connections remain after many loads."""

import gc
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Simulator, make_world
from deltalake import DeltaTable
from dlt.common.configuration.utils import get_resolved_traces
from m365_jobs.config.tenants import selected
from m365_jobs.load import parallel
from m365_jobs.load.options import LoadOptions
from m365_jobs.warehouse.destinations import lake, sql_rows

from tests.support.cli import NOW
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse, empty_warehouse


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


def connections() -> set[str]:
    """Return the names of the sockets of this process, including those of the simulator; each has its own."""
    names = (os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink())
    return {name for name in names if name.startswith("socket:")}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists the open files of a process")
@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
def test_loads_leave_no_connection_to_the_api_open(place: Warehouse) -> None:
    """Test one process that loads many tenants: connections must not wait for the garbage collector."""
    world = make_world(90, seed=3, now=NOW, days=10)
    with Simulator(world) as simulator:
        before = connections()
        gc.disable()
        try:
            for _ in range(3):
                place.load(simulator, include="context")
                world.advance(timedelta(days=1))
        finally:
            gc.enable()
        deadline = time.monotonic() + 10
        # The server closes its sockets after it learns that the client closed.
        while connections() - before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert connections() - before == set()


@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
def test_loads_of_all_tenants_leave_no_resolved_setting_in_memory(
    place: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test a process that runs for days: dlt keeps each setting that a thread resolves, secrets included."""
    with Simulator(make_world(9, seed=3, now=NOW, days=10)) as simulator:
        section = "SOURCES__AVEPOINT_M365__TENANTS__CONTOSO__"
        monkeypatch.setenv(f"{section}BASE_URL", simulator.base_url)
        monkeypatch.setenv(f"{section}TOKEN_URL", simulator.token_url)
        monkeypatch.setenv(f"{section}CREDENTIALS__CLIENT_ID", simulator.client_id)
        monkeypatch.setenv(f"{section}CREDENTIALS__CLIENT_SECRET", simulator.client_secret)
        tenants = selected((), every=True)
        tenant_loads = parallel.TenantLoads({tenant.name: Progress() for tenant in tenants})
        parallel.load_all(tenants, LoadOptions(), tenant_loads, lambda _: None, lambda _: None, 1)
    assert [(result.tenant, result.exit_code) for result in tenant_loads.results] == [("contoso", 0)]
    assert get_resolved_traces().all_traces == []


STATES = "SELECT pipeline_name, count(*) FROM _dlt_pipeline_state GROUP BY 1 ORDER BY 1"


@pytest.mark.usual(1)
def test_few_copies_of_a_tenants_state_stay_and_loads_go_on_from_the_newest(
    place: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_rows, "KEEP_STATES", 2)
    world = make_world(90, seed=3, now=NOW - timedelta(days=4), days=10)
    with Simulator(world) as simulator:
        place.load(simulator, tenant="other")
        (other,) = place.rows(STATES)
        for _ in range(5):
            place.load(simulator)
            assert place.contents() == on_server(world, False)
            world.advance(timedelta(hours=5))
        simulator.asked.clear()
        place.load(simulator)
        assert len([asked for asked in simulator.asked if "jobs" in asked.path]) <= 4
    assert place.rows(STATES) == [("m365_jobs", 2), other]
    newest = "SELECT max(version) FROM _dlt_pipeline_state WHERE pipeline_name = 'm365_jobs'"
    assert place.rows(newest)[0][0] > 3


@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
def test_loads_with_nothing_new_leave_a_row_for_each_listing_and_nothing_else(place: Warehouse, tmp_path: Path) -> None:
    def left() -> tuple[int, int, int]:
        gc.collect()
        opened = len([*Path("/proc/self/fd").iterdir()]) if Path("/proc/self/fd").exists() else 0
        dlt_files = [path for path in (tmp_path / "dlt").rglob("*") if path.is_file()]
        return len(dlt_files), opened, os.path.getsize("m365_warehouse.duckdb") // 1_000_000

    count = "SELECT (SELECT count(*) FROM load_audit), (SELECT count(*) FROM load_runs)"
    with Simulator(make_world(60, seed=2, now=NOW - timedelta(days=2))) as simulator:
        for _ in range(3):
            place.load(simulator)
        (before,), was, asked = place.rows(count), left(), len(simulator.asked)
        for _ in range(30):
            place.load(simulator)
        listings = len([request for request in simulator.asked[asked:] if "jobs" in request.path])
        assert place.rows(count) == [(before[0] + listings, before[1] + 30)]
        files, opened, megabytes = left()
        assert (files, megabytes) == (was[0], was[2])
        # A worker of the tests opens files of its own at times.
        assert opened < was[1] + 10
        assert listings <= 60


@pytest.mark.parametrize("place", ["filesystem"], indirect=True)
def test_a_lake_keeps_few_load_records_and_the_files_of_open_readers(
    place: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lake, "KEEP_LOADS", 2)
    world = make_world(90, seed=3, now=NOW - timedelta(days=4), days=10)
    with Simulator(world) as simulator:
        place.load(simulator)
        loaded, before = DeltaTable(str(tmp_path / "lake" / "m365_jobs" / "jobs")), place.contents()
        for _ in range(4):
            world.advance(timedelta(hours=5))
            place.load(simulator)
        assert place.contents() == on_server(world, False) != before
    assert len([*(tmp_path / "lake" / "m365_jobs" / "_dlt_loads").glob("*.jsonl")]) == 2
    # Each later load replaced the files of this version; they stay until the retention time is over.
    assert sorted(loaded.to_pyarrow_table(columns=["id"])["id"].to_pylist()) == sorted(before)
