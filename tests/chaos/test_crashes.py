"""Test that after a load was killed at any step, the next load ends with the right rows and cursors."""

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import dlt
import duckdb
import pytest
from avepoint_simulator import JobError, SimulatedJob, Simulator, World
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from m365_jobs.load import run as loading

from tests.support.kill_at_step import die, load_in_child
from tests.support.truth import in_warehouse, on_server
from tests.support.warehouse import GivenSettings, Warehouse, administer, database, database_for, require_postgres
from tests.support.worlds import settings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")

START = datetime(2026, 3, 1, tzinfo=UTC)
STRIDE = int(os.environ.get("M365_JOBS_KILL_EVERY", "199"))
"""Distance between two steps at which a load is killed. ``make crashes`` tries each step."""
FIRST_STEP = int(os.environ.get("M365_JOBS_KILL_FROM", "1"))
"""Step at which the first load is killed, to continue a run that ended early."""

TWICE = tuple(
    f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1"
    for table, columns in {
        "load_runs": "run_id",
        "load_audit": "run_id, object_type, job_type, started_at",
        "load_check_failures": "run_id, rule, problem, example",
        "reconciliations": "run_id, location, kind, period_start, period_end",
        "job_changes": 'tenant, id, changed_at, "column"',
        "companion_loads": "tenant, id",
    }.items()
)
"""Queries for rows that append-only tables contain twice."""


def job(number: int, hours: float, **more: object) -> SimulatedJob:
    """Return a job of one hour that finishes ``hours`` after ``START``."""
    finish = START + timedelta(hours=hours)
    plain = SimulatedJob(f"JOB{number}", 1 + number % 2 * 6, 1, None, finish - timedelta(hours=1), finish, total=number)
    return replace(plain, **more)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    errors = (JobError("Access denied.", True, "", 2), JobError("The item was changed.", False, "", 1))
    world = World(START)
    world.put(*(job(number, -number * 5, errors=errors[: number % 3]) for number in range(8)))
    world.put(job(8, 30, start=START - timedelta(hours=20)))
    return world


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    monkeypatch.setattr(avepoint_m365, "_now", lambda: world.now)
    monkeypatch.setattr(loading, "CHUNK_JOBS", 6)
    with Simulator(world) as running:
        yield running


def options(simulator: Simulator, since: datetime | None = None) -> loading.LoadOptions:
    start = (START - timedelta(days=3)).isoformat()
    types = ["exchange_online", "teams"]
    return loading.LoadOptions(since, source=settings(simulator, object_types=types, start_date=start, concurrency=1))


def changes(world: World) -> None:
    """Change the server as a night does: an open job ends, new jobs appear, and a job loses its errors."""
    world.change("JOB1", errors=(), final_state="Finished", total=17)
    world.put(*(job(number, number - 8) for number in range(9, 14)))
    world.put(job(20, 60, start=START + timedelta(hours=10)))
    world.advance(timedelta(hours=31))


def left_over(folder: Path) -> bool:
    """Return True if dlt has a pending package."""
    packages = ("load/normalized/*", "normalize/extracted/*")
    return any([*(folder / "dlt/pipelines/m365_jobs").glob(package)] for package in packages)


def doubled(file: Path) -> list[tuple[object, ...]]:
    """Return the rows that append-only tables contain twice."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("USE m365_jobs")
        return [row for query in TWICE for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("which", ["first", "later", "backfill"])
def test_a_load_killed_at_any_step_is_made_good_by_the_next(
    tmp_path: Path, simulator: Simulator, world: World, which: str
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    if which != "first":
        assert load_in_child(before, options(simulator)).code == 0
        changes(world)
    loaded = in_warehouse(before / "m365_warehouse.duckdb").keys() if which != "first" else set()
    since = START - timedelta(days=2) if which == "backfill" else None
    undisturbed = shutil.copytree(before, tmp_path / "undisturbed")
    expected = load_in_child(undisturbed, options(simulator, since))
    assert expected.code == 0
    truth = on_server(world, False)
    assert in_warehouse(undisturbed / "m365_warehouse.duckdb") == truth
    finished = 0
    for step in range(FIRST_STEP, expected.steps + 1, STRIDE):
        folder = shutil.copytree(before, tmp_path / "killed")
        if load_in_child(folder, options(simulator, since), step).code is not None:
            break  # The load ended before this step: the number of steps differs slightly between runs.
        if loaded:
            assert (step, loaded - in_warehouse(folder / "m365_warehouse.duckdb").keys()) == (step, set())
        was_left = left_over(folder)
        after = load_in_child(folder, options(simulator, since))
        assert (step, after.code) == (step, 0), after.messages
        assert any("was interrupted" in line for line in after.messages) == was_left
        assert (step, in_warehouse(folder / "m365_warehouse.duckdb")) == (step, truth)
        assert (step, doubled(folder / "m365_warehouse.duckdb")) == (step, [])
        assert (step, after.cursors) == (step, expected.cursors)
        finished += was_left
        shutil.rmtree(folder)
    assert finished, "some kill leaves a package to finish"


@pytest.mark.parametrize("table", ["jobs", "jobs__backup_details", "jobs__job_errors"])
def test_rows_are_replaced_as_one_so_that_a_killed_load_takes_none_away(
    tmp_path: Path, simulator: Simulator, world: World, table: str
) -> None:
    """Stop a backfill before an insertion; the next load runs on a new machine, without the pending package.

    A load without the backfill's range would not read deleted rows again, so the killed load must not delete any.
    """

    def rows() -> list[tuple[Any, ...]]:
        with duckdb.connect(str(tmp_path / "m365_warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(f"SELECT * FROM m365_jobs.{table} ORDER BY ALL").fetchall()

    assert load_in_child(tmp_path, options(simulator)).code == 0
    before = rows()
    changes(world)
    since = START - timedelta(days=2)
    insertion = f'INSERT INTO "m365_jobs"."{table}"'
    assert load_in_child(tmp_path, options(simulator, since), kill_before=insertion).code is None
    assert rows() == before
    shutil.rmtree(tmp_path / "dlt")
    assert load_in_child(tmp_path, options(simulator, since)).code == 0
    assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)


def test_a_file_that_was_copied_into_a_package_when_the_load_was_killed_is_dropped(
    tmp_path: Path, simulator: Simulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop a load while dlt copies the SQL of a merge from the temporary folder, under a temporary name."""
    copy = shutil.copyfile

    def copy_and_die(source: str, target: str) -> None:
        copy(source, target)
        if "new_jobs" in target:
            die()

    assert load_in_child(tmp_path, options(simulator)).code == 0
    changes(world)
    with monkeypatch.context() as patches:
        patches.setattr(shutil, "copyfile", copy_and_die)
        assert load_in_child(tmp_path, options(simulator)).code is None
    (cut,) = [file for file in tmp_path.glob("dlt/pipelines/*/load/normalized/*/new_jobs/*") if "." not in file.name]
    assert cut.read_text().startswith("DELETE FROM")
    after = load_in_child(tmp_path, options(simulator))
    assert (after.code, any("was interrupted" in line for line in after.messages)) == (0, True), after.messages
    assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)


@pytest.mark.parametrize("destination", ["duckdb", "postgres", "filesystem"])
@pytest.mark.parametrize("after", ["a chunk", "a load"])
def test_what_was_read_for_a_warehouse_that_is_gone_does_not_take_its_place(
    tmp_path: Path, simulator: Simulator, world: World, monkeypatch: pytest.MonkeyPatch, destination: str, after: str
) -> None:
    """Delete the warehouse while a package is pending: its cursors would be ahead of the rows of a new warehouse.

    The interrupted load is the first one, in its second chunk, or a later one.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    place, load, loads = Warehouse(destination), dlt.Pipeline.load, 0
    given: GivenSettings = {
        "object_types": ["exchange_online", "teams"],
        "start_date": (START - timedelta(days=3)).isoformat(),
    }

    def breaks_off(pipeline: dlt.Pipeline, *arguments: Any, **named: Any) -> Any:
        nonlocal loads
        loads += 1
        if loads > most:
            raise OSError("the power went")
        return load(pipeline, *arguments, **named)

    most = 1 if after == "a chunk" else 1_000
    with database_for(destination) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        with monkeypatch.context() as broken:
            broken.setattr(dlt.Pipeline, "load", breaks_off)
            if after == "a load":
                place.load(simulator, **given)
                changes(world)
                most = loads
            with pytest.raises(OSError, match="the power went"):
                place.load(simulator, **given)
        if destination == "postgres":
            administer("DROP SCHEMA m365_jobs CASCADE", address=address)
        else:
            Path("m365_warehouse.duckdb").unlink(missing_ok=True)
            shutil.rmtree("lake", ignore_errors=True)
        place.load(simulator, **given)
        assert place.contents() == on_server(world, False)
        assert "Dropping what an interrupted load had read for another warehouse" in place.messages[0]


@pytest.mark.parametrize("largest_file", [0, 1_000, 5_000, 20_000])
def test_after_a_full_disk_the_next_load_ends_well(
    tmp_path: Path, simulator: Simulator, world: World, largest_file: int
) -> None:
    assert load_in_child(tmp_path, options(simulator)).code == 0
    changes(world)
    full = load_in_child(tmp_path, options(simulator), largest_file=largest_file)
    assert full.code != 0
    assert re.search(r"no disk space left: .* Free some|File too large.* Free space", full.messages[-1])
    after = load_in_child(tmp_path, options(simulator))
    assert after.code == 0, after.messages
    assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)
    assert doubled(tmp_path / "m365_warehouse.duckdb") == []


@pytest.mark.parametrize("statement", range(1, 90, 16))
def test_a_database_that_goes_away_at_any_statement_is_loaded_by_the_next(
    tmp_path: Path, simulator: Simulator, world: World, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    require_postgres()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    execute, lock, count = Psycopg2SqlClient.execute_query, threading.Lock(), 0

    def cut(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        with lock:
            count += 1
            if count == statement:
                administer(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    address=address,
                )
        return execute(self, *arguments, **named)

    with database() as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        postgres, types = Warehouse("postgres"), ["exchange_online", "teams"]
        monkeypatch.setattr(Psycopg2SqlClient, "execute_query", cut)
        with contextlib.suppress(Exception):
            postgres.load(simulator, object_types=types)
        assert count >= statement
        postgres.load(simulator, object_types=types)
        assert postgres.contents() == on_server(world, False)
        assert postgres.rows("SELECT run_id FROM load_runs GROUP BY run_id HAVING count(*) > 1") == []
