"""Test the DAGs of the documentation in a real Airflow 3: a task for each tenant, and backfills."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from avepoint_simulator import Answer, SimulatedJob, Simulator, World, make_world
from m365_jobs.orchestrators.airflow import load_dag

from tests.orchestrators.airflow.conftest import Airflow, section
from tests.support.truth import in_warehouse, on_server
from tests.support.warehouse import administer, database

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=9)


@pytest.fixture
def airflow(installed: Airflow, tmp_path: Path) -> Airflow:
    """Return Airflow with an empty warehouse."""
    installed.environment |= {
        "DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / "warehouse.duckdb"),
        "DESTINATION__WAREHOUSE__CREDENTIALS": str(tmp_path / "warehouse.duckdb"),
    }
    return installed


def test_dags_import_without_errors(airflow: Airflow) -> None:
    assert airflow.ask("SELECT * FROM import_error") == []
    dags = airflow.ask("SELECT DISTINCT dag_id FROM serialized_dag ORDER BY 1")
    assert dags == [("m365_jobs",), ("m365_source",), ("rounds",), ("split",)]


def test_a_dag_file_is_read_without_dlt_and_what_contradicts_itself_is_refused(airflow: Airflow) -> None:
    read = "import example_0, sys; print(example_0.m365_jobs.task_ids, {'dlt', 'duckdb', 'pyarrow'} & {*sys.modules})"
    assert airflow.python(read).splitlines()[-1] == "['tenants', 'load'] set()"
    with pytest.raises(ValueError, match="min_age needs split='tenants'"):
        load_dag(start_date=NOW, split="locations", min_age=timedelta())


def test_each_tenant_is_a_task_and_a_broken_one_fails_alone(airflow: Airflow, tmp_path: Path) -> None:
    here, there = make_world(60, seed=1, now=NOW), make_world(60, seed=2, now=NOW, locations=("EUR", "NAM"))
    with (
        Simulator(here) as first,
        Simulator(there) as second,
        Simulator(here, fault=lambda asked: Answer(403)) as broken,
    ):
        airflow.configure(
            section("contoso", first),
            section("fabrikam", broken),
            section("northwind", second, 'locations = ["EUR", "NAM"]'),
            '[sources.avepoint_m365.tenants."typo.example"]\npage_size = "many"\n',
        )
        airflow.run("dags", "test", "m365_jobs", code=1)
    assert airflow.ask(
        "SELECT task_id, rendered_map_index, state FROM task_instance WHERE dag_id = 'm365_jobs' ORDER BY 1, 2"
    ) == [
        ("load", "contoso", "success"),
        ("load", "fabrikam", "failed"),
        ("load", "northwind", "success"),
        ("load", "typo.example", "failed"),
        ("tenants", None, "success"),
    ]
    assert in_warehouse(tmp_path / "warehouse.duckdb", "contoso") == on_server(here, False)
    assert in_warehouse(tmp_path / "warehouse.duckdb", "northwind") == on_server(there, True)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as warehouse:
        assert warehouse.execute(
            "SELECT tenant, status, error_kind FROM m365_jobs.load_runs ORDER BY 1"
        ).fetchall() == [
            ("contoso", "complete", None),
            ("fabrikam", "failed", "permission"),
            ("northwind", "complete", None),
        ]


def test_locations_can_be_tasks_of_their_own(airflow: Airflow, tmp_path: Path) -> None:
    world, other = make_world(60, seed=3, now=NOW, locations=("EUR", "NAM")), make_world(60, seed=4, now=NOW)
    with Simulator(world) as first, Simulator(other) as second:
        airflow.configure(
            '[sources.avepoint_m365]\nlocations = ["EUR", "NAM"]\n',
            section("contoso", first),
            section("fabrikam", second, "locations = []"),
        )
        airflow.run("dags", "test", "split")
    assert airflow.ask(
        "SELECT rendered_map_index, state FROM task_instance WHERE dag_id = 'split' AND map_index >= 0 ORDER BY 1"
    ) == [("contoso EUR", "success"), ("contoso NAM", "success"), ("fabrikam", "success")]
    assert in_warehouse(tmp_path / "warehouse.duckdb", "contoso") == on_server(world, True)


def test_what_another_worker_has_just_loaded_is_skipped_but_a_failure_is_tried_again(airflow: Airflow) -> None:
    here, there = make_world(60, seed=6, now=NOW), make_world(60, seed=7, now=NOW)
    with (
        Simulator(here) as first,
        Simulator(there) as second,
        Simulator(here, fault=lambda asked: Answer(403)) as refusing,
        database() as address,
    ):
        airflow.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
        airflow.environment["RUNTIME__REQUEST_MAX_ATTEMPTS"] = "1"
        airflow.configure(section("contoso", first), section("fabrikam", second), section("northwind", refusing))
        airflow.python(
            "from m365_jobs.cli.app import app; app(['load', '--tenant', 'contoso', '--destination', 'postgres'])"
        )
        asked = len(first.asked)
        # Each load requests its own token: during the first load the API is down.
        second.fault = lambda asked: Answer(503) if second.token_requests < 2 else None
        airflow.run("dags", "test", "rounds", code=1)
        assert len(first.asked) == asked
        assert airflow.ask(
            "SELECT rendered_map_index, state, try_number FROM task_instance WHERE dag_id = 'rounds' AND map_index >= 0"
            " ORDER BY 1"
        ) == [("contoso", "skipped", 1), ("fabrikam", "success", 2), ("northwind", "failed", 1)]
        runs = "SELECT tenant, status FROM m365_jobs.load_runs ORDER BY tenant, started_at"
        # A retry does not grant a missing permission.
        loads = [("contoso", "complete"), ("fabrikam", "failed"), ("fabrikam", "complete"), ("northwind", "failed")]
        assert administer(runs, address=address) == loads


def test_dlts_own_task_group_loads_the_source(airflow: Airflow, tmp_path: Path) -> None:
    world = make_world(60, seed=5, now=NOW)
    with Simulator(world) as simulator:
        airflow.configure(section("x", simulator).replace(".tenants.x", ""))
        airflow.run("dags", "test", "m365_source")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as warehouse:
        loaded = {row[0] for row in warehouse.execute("SELECT id FROM m365_source.jobs").fetchall()}
    assert loaded == {job.id for job in world.visible()}


def test_a_backfill_loads_exactly_its_interval_and_the_next_run_what_is_new(airflow: Airflow, tmp_path: Path) -> None:
    world, day = World(NOW), timedelta(days=1)
    midnight = NOW.replace(hour=0, minute=0, second=0)
    for number in range(12):
        finish = midnight - number * day + timedelta(hours=-6)
        world.put(SimulatedJob(f"job {number}", 1, 1, None, finish - timedelta(hours=1), finish))
    with Simulator(world) as simulator:
        names = ("contoso", "fabrikam")
        airflow.configure(*(section(name, simulator, 'object_types = ["exchange_online"]') for name in names))
        # Two intervals: jobs that ended on the sixth and the fifth day before today.
        begin, end = midnight - 6 * day, midnight - 5 * day
        airflow.run(
            *("backfill", "create", "--dag-id", "m365_jobs", "--max-active-runs", "1"),
            *("--from-date", f"{begin:%Y-%m-%d}", "--to-date", f"{end:%Y-%m-%d}"),
        )
        with airflow.serving(free_port()):
            wait_for(airflow, "SELECT state FROM dag_run WHERE run_type = 'backfill'", ["success"] * 2)
            for name in names:
                assert in_warehouse(tmp_path / "warehouse.duckdb", name).keys() == {"job 4", "job 5"}
            # Airflow refuses another backfill until the first is recorded as completed.
            ended = "SELECT CASE WHEN completed_at IS NULL THEN 'running' ELSE 'success' END FROM backfill"
            wait_for(airflow, ended, ["success"])
            earlier = f"{midnight - 9 * day:%Y-%m-%d}"
            airflow.run(
                *("backfill", "create", "--dag-id", "m365_jobs", "--dag-run-conf", '{"tenants": ["contoso"]}'),
                *("--from-date", earlier, "--to-date", earlier),
            )
            wait_for(airflow, "SELECT state FROM dag_run WHERE run_type = 'backfill'", ["success"] * 3)
            assert in_warehouse(tmp_path / "warehouse.duckdb", "contoso").keys() == {"job 4", "job 5", "job 8"}
            assert in_warehouse(tmp_path / "warehouse.duckdb", "fabrikam").keys() == {"job 4", "job 5"}
            airflow.run("dags", "trigger", "m365_jobs", "--run-id", "by-hand")
            wait_for(airflow, "SELECT state FROM dag_run WHERE run_id = 'by-hand'", ["success"])
    for name in names:
        assert in_warehouse(tmp_path / "warehouse.duckdb", name) == on_server(world, False)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(airflow: Airflow, sql: str, states: list[str]) -> None:
    """Wait until runs have ended, and check their states."""
    give_up = time.monotonic() + 600
    while any(state in ("queued", "running") for (state,) in airflow.ask(sql)):
        assert time.monotonic() < give_up, airflow.ask("SELECT run_id, task_id, map_index, state FROM task_instance")
        time.sleep(0.5)
    assert [state for (state,) in airflow.ask(sql)] == states
