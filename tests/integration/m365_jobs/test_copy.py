"""Test copies of a DuckDB warehouse to a bigger destination, where loads continue from the same cursors."""

import re
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from avepoint_simulator import SimulatedJob, Simulator, make_world
from dlt.pipeline.exceptions import PipelineStepFailed
from m365_jobs.errors.exceptions import UsageError, WarehouseError
from m365_jobs.load import copy_rows
from m365_jobs.load import run as loading
from m365_jobs.load.copy import copy_tenants

from tests.chaos.test_concurrency import Gate, line_with
from tests.integration.m365_jobs.test_lake import lose_errors
from tests.support.cli import NOW, Cli, NewUser, make_user
from tests.support.signals import start_command
from tests.support.truth import on_server
from tests.support.warehouse import GivenSettings, Warehouse, administer, database

pytestmark = pytest.mark.destinations

TABLES = {
    "jobs": "*",
    "jobs__backup_details": "*",
    "jobs__job_errors": "tenant, job_id, error_index, is_error_code, value, url, number",
    "load_audit": "*",
    "load_runs": "run_id, tenant, started_at, ended_at, status, error_kind, detail, requests, jobs, product_version",
    "load_check_failures": "run_id, tenant, rule, problem, example, jobs, found_at",
}
SETTINGS: GivenSettings = {"object_types": ["exchange_online", "teams"]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    monkeypatch.setattr(copy_rows, "BATCH", 25)
    return Warehouse("duckdb")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with database() as first:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", first)
        yield first


def contents(place: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, sorted by their content."""
    results = {name: place.rows(f"SELECT {columns} FROM {name}") for name, columns in TABLES.items()}
    return {name: sorted(rows, key=repr) for name, rows in results.items()}


def asked_from(simulator: Simulator) -> datetime:
    return min(datetime.fromisoformat(request.params["starttime"]) for request in simulator.asked)


@pytest.mark.usual(1)
@pytest.mark.parametrize("more", [(), ("--dataset", "kept")])
def test_the_printed_command_continues_at_the_destination(
    simulator: Simulator, new_user: NewUser, address: str, more: tuple[str, ...]
) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    user.run("load")
    match = re.search(
        r"Continue there with: m365-jobs (.*)\n", user.run("copy", "--destination", "postgres", *more).stderr
    )
    assert match is not None
    assert ": 0 new, 0 changed" in user.run(*match[1].split()).stderr


def test_a_dataset_with_another_name_is_copied(simulator: Simulator, new_user: NewUser, address: str) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    user.run("load", "--dataset", "first")
    message = user.run("copy", "--destination", "postgres", code=2).stderr
    assert "holds no dataset m365_jobs of this program. Name another with --from-dataset." in " ".join(message.split())
    user.run("copy", "--destination", "postgres", "--from-dataset", "first")
    assert ": 0 new, 0 changed" in user.run("load", "--destination", "postgres").stderr


@pytest.mark.parametrize("destination", ["postgres", "filesystem"])
def test_all_rows_and_cursors_are_copied_and_the_next_load_continues_there(
    here: Warehouse, address: str, destination: str
) -> None:
    there = Warehouse(destination)
    message: list[str] = []
    ours, theirs = make_world(120, seed=41, now=NOW, days=10), make_world(40, seed=42, now=NOW, days=10)
    ours.put(SimulatedJob("odd", 1, 1, None, NOW - timedelta(hours=2), NOW - timedelta(hours=1), total=1, failed=-1))
    midnight = (NOW - timedelta(days=5)).replace(hour=0, minute=0, second=0)
    for world in (ours, theirs):
        # This job shows what a range means, so that windows begin no further back than the lag.
        world.put(
            SimulatedJob("night", 1, 1, None, midnight - timedelta(hours=1), midnight + timedelta(hours=1), total=1)
        )
    with Simulator(ours) as simulator, Simulator(theirs) as other:
        here.load(simulator, **SETTINGS)
        here.load(other, tenant="contoso", **SETTINGS)
        lose_errors(ours)
        ours.advance(timedelta(hours=3))
        here.load(simulator, **SETTINGS)
        done = copy_tenants(destination, None, message.append)
        assert contents(there) == contents(here)
        assert contents(there)["load_check_failures"]
        assert {tenant: rows["jobs"] for tenant, rows in done.rows.items()} == dict(
            here.rows("SELECT tenant, count(*) FROM jobs GROUP BY tenant")
        )
        for item, tenant in ((simulator, "default"), (other, "contoso")):
            item.world.advance(timedelta(hours=8))
            item.asked.clear()
            there.load(item, tenant=tenant, **SETTINGS)
            assert asked_from(item) > NOW - timedelta(days=4), "nothing is read from the beginning"
        known = on_server(ours, False) | on_server(theirs, False)
        assert there.contents().items() <= known.items()
        assert len(there.rows("SELECT * FROM jobs")) == len(
            [job for world in (ours, theirs) for job in world.visible() if job.object_type in (1, 7)]
        )


def test_a_copy_that_breaks_off_is_run_again(here: Warehouse, address: str) -> None:
    there, world = Warehouse("postgres"), make_world(300, seed=43, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        copy_tenants("postgres", None, here.messages.append)
        lose_errors(world)
        here.load(simulator, **SETTINGS)
        administer(
            "CREATE FUNCTION m365_jobs.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'broken off'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON m365_jobs.load_audit "
            "FOR EACH ROW EXECUTE FUNCTION m365_jobs.refuse()",
            address=address,
        )
        with pytest.raises(Exception, match="broken off"):
            copy_tenants("postgres", None, here.messages.append)
        assert contents(there) != contents(here)
        administer("DROP TRIGGER refuse ON m365_jobs.load_audit", address=address)
        copy_tenants("postgres", None, here.messages.append)
        assert contents(there) == contents(here)
        there.load(simulator, **SETTINGS)
        assert there.rows("SELECT id, state FROM jobs ORDER BY id") == here.rows(
            "SELECT id, state FROM jobs ORDER BY id"
        )


def test_a_destination_with_loads_of_its_own_keeps_them(here: Warehouse, address: str) -> None:
    there, world = Warehouse("postgres"), make_world(60, seed=44, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        copy_tenants("postgres", None, here.messages.append)
        world.advance(timedelta(hours=8))
        there.load(simulator, **SETTINGS)
        before = contents(there)
        with pytest.raises(WarehouseError, match="has 1 load of tenant default that this warehouse lacks"):
            copy_tenants("postgres", None, here.messages.append)
        assert contents(there) == before


def test_a_single_tenant_can_be_copied(here: Warehouse) -> None:
    there = Warehouse("filesystem")
    with Simulator(make_world(40, seed=46, now=NOW)) as simulator:
        here.load(simulator, **SETTINGS)
        here.load(simulator, tenant="contoso", **SETTINGS)
    done = copy_tenants("filesystem", None, here.messages.append, ["contoso"])
    assert list(done.rows) == ["contoso"]
    assert contents(there) == {name: [row for row in rows if "contoso" in row] for name, rows in contents(here).items()}
    with pytest.raises(UsageError, match="holds nothing of tenant 'fabrikam'"):
        copy_tenants("filesystem", None, here.messages.append, ["fabrikam"])


def test_a_copy_to_itself_or_of_nothing_is_refused(here: Warehouse) -> None:
    with pytest.raises(UsageError, match="no DuckDB warehouse to copy"):
        copy_tenants("filesystem", None, here.messages.append)
    with Simulator(make_world(20, seed=45, now=NOW)) as simulator:
        here.load(simulator, **SETTINGS)
    with pytest.raises(UsageError, match="already there"):
        copy_tenants("duckdb", None, here.messages.append)


def test_the_command_prints_the_copied_rows_and_the_next_command(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "lake"
    user.run("load")
    message = user.run("copy", "--destination", "filesystem").stderr
    count = len(simulator.world.visible())
    assert re.search(
        rf"default: jobs {count}, jobs__backup_details {count}, .*load_runs 1, .*reconciliations 0, .*\d\.\n", message
    )
    assert "m365-jobs load --destination filesystem" in message
    assert "0 new" in user.run("load", "--destination", "filesystem").stderr


def test_a_copy_waits_for_a_load_into_its_origin(simulator: Simulator, new_user: NewUser) -> None:
    user, gate = new_user(simulator), Gate()
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "lake"
    user.run("load")
    simulator.world.advance(timedelta(hours=8))
    simulator.fault = gate
    load = start_command(user, "load")
    assert gate.reached.wait(60)
    copying = start_command(user, "copy", "--destination", "filesystem")
    assert "Another load of m365_jobs is running; waiting" in line_with(copying, "Another load")
    gate.open.set()
    assert [item.communicate(timeout=120) and item.returncode for item in (load, copying)] == [0, 0]
    assert '"load_runs": 2' in user.run("status", "--format", "json", "--destination", "filesystem").stdout


def test_a_copy_waits_for_a_load_into_its_destination_on_another_machine(
    simulator: Simulator, new_user: NewUser, address: str, tmp_path: Path
) -> None:
    user, gate = new_user(simulator), Gate()
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    user.run("load")
    simulator.fault = gate
    elsewhere = Cli(user.folder, {**user.environment, "DLT_DATA_DIR": str(tmp_path / "elsewhere")})
    load = start_command(elsewhere, "load", "--destination", "postgres")
    assert gate.reached.wait(60)
    copying = start_command(user, "copy", "--destination", "postgres")
    assert f"Another load of tenant default is running ({socket.gethostname()}, process {load.pid}" in line_with(
        copying, "Waiting for it"
    )
    gate.open.set()
    assert load.communicate(timeout=120)
    message = copying.communicate(timeout=120)[1]
    assert (load.returncode, copying.returncode) == (0, 1)
    assert "has 1 load of tenant default that this warehouse lacks" in message


def test_a_load_waits_for_a_copy_into_its_warehouse(
    here: Warehouse, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, world = Warehouse("postgres"), make_world(60, seed=47, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        source, loads = copy_rows.TenantRows.source, []
        user = make_user(tmp_path, simulator)
        user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
        user.set(object_types='["exchange_online", "teams"]')

        def while_a_load_begins(*arguments: Any) -> Any:
            loads.append(start_command(user, "load", "--destination", "postgres"))
            assert "Another load of tenant default is running" in line_with(loads[0], "Waiting for it")
            return source(*arguments)

        monkeypatch.setattr(copy_rows.TenantRows, "source", while_a_load_begins)
        copy_tenants("postgres", None, here.messages.append)
        message = loads[0].communicate(timeout=120)[1]
        assert loads[0].returncode == 0, message
        assert "0 new" in message
        assert there.contents() == here.contents()


def test_pending_packages_are_not_copied_and_reported(here: Warehouse) -> None:
    world = make_world(60, seed=48, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        world.advance(timedelta(hours=8))
        pipeline = here.pipeline()
        pipeline.extract([{"id": 1}], table_name="left")
        copy_tenants("filesystem", None, here.messages.append)
        assert "A load of tenant default was interrupted; what it left unfinished is not copied" in here.messages[-2]


def test_a_copy_deletes_errors_that_an_interrupted_copy_left(here: Warehouse, address: str) -> None:
    there, world = Warehouse("postgres"), make_world(300, seed=43, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        copy_tenants("postgres", None, here.messages.append)
        # This is the state after a first copy that was killed after it wrote the jobs, and before the runs.
        administer(
            *(f"DELETE FROM m365_jobs.{name}" for name in ("load_runs", "load_audit", "_dlt_pipeline_state")),
            address=address,
        )
        lose_errors(world)
        here.load(simulator, **SETTINGS)
        copy_tenants("postgres", None, here.messages.append)
        assert contents(there) == contents(here)


@pytest.mark.parametrize("destination", ["postgres", "filesystem"])
def test_what_a_first_load_has_loaded_can_be_copied_before_it_is_complete_and_after(
    here: Warehouse, address: str, monkeypatch: pytest.MonkeyPatch, destination: str
) -> None:
    there, world = Warehouse(destination), make_world(300, seed=43, now=NOW, days=10)
    monkeypatch.setattr(loading, "CHUNK_JOBS", 20)
    real, loads = dlt.Pipeline.load, []

    def breaks(*arguments: Any, **options: Any) -> Any:
        loads.append(arguments)
        if len(loads) > 2:
            raise OSError("no power")
        return real(*arguments, **options)

    with Simulator(world) as simulator:
        with monkeypatch.context() as broken:
            broken.setattr(dlt.Pipeline, "load", breaks)
            with pytest.raises(OSError, match="no power"):
                here.load(simulator, **SETTINGS)
        copy_tenants(destination, None, here.messages.append)
        assert [line.startswith("Copying") for line in here.messages].count(True) == 1, "a copy for each tenant"
        part = there.contents()
        assert part
        assert part == here.contents()
        here.load(simulator, **SETTINGS)
        copy_tenants(destination, None, here.messages.append)
        assert there.contents().keys() > part.keys()
        assert contents(there) == contents(here)


@pytest.mark.variant
def test_errors_of_a_job_reach_a_lake_in_one_batch(here: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_rows, "BATCH", 1)
    there = Warehouse("filesystem")
    with Simulator(make_world(4, seed=43, now=NOW, days=10, error_share=0.9)) as simulator:
        here.load(simulator)
        assert here.rows("SELECT max(error_index) > 0 FROM jobs__job_errors") == [(True,)]
        for _ in range(2):
            copy_tenants("filesystem", None, here.messages.append)
            assert contents(there) == contents(here)


def test_a_warehouse_without_a_table_that_loads_append_to_is_copied(here: Warehouse, address: str) -> None:
    there = Warehouse("postgres")
    with Simulator(make_world(60, seed=43, now=NOW, days=10)) as simulator:
        here.load(simulator, **SETTINGS)
    with duckdb.connect("m365_warehouse.duckdb") as connection:
        connection.execute("DROP TABLE m365_jobs.load_check_failures")
    assert copy_tenants("postgres", None, here.messages.append).rows["default"]["load_check_failures"] == 0
    assert there.contents() == here.contents()


def test_a_load_that_failed_at_the_destination_does_not_stop_a_copy(here: Warehouse, address: str) -> None:
    there, world = Warehouse("postgres"), make_world(60, seed=43, now=NOW, days=10)
    with Simulator(world) as simulator:
        here.load(simulator, **SETTINGS)
        with pytest.raises(PipelineStepFailed):
            there.load(simulator, **SETTINGS, credentials={"client_id": "x", "client_secret": "y"})
        (failed,) = there.rows("SELECT status FROM load_runs")
        assert failed == ("failed",)
        copy_tenants("postgres", None, here.messages.append)
        result, ours = contents(there), contents(here)
        assert [row for row in result.pop("load_runs") if "failed" not in row] == ours.pop("load_runs")
        assert result == ours
