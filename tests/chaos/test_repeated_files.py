"""Test files that dlt loads twice: a load is killed after it stores a file, and the next load finishes its package."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import pytest
from avepoint_m365.companions import timing as companions
from avepoint_simulator import JobError, SimulatedJob, Simulator, World
from avepoint_simulator.companions import make_companions
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.storages import ParsedLoadJobFileName
from m365_jobs.load.options import LoadOptions
from m365_jobs.schema import TABLES

from tests.support.kill_at_step import die, load_in_child, run_in_child
from tests.support.saved_destination import SavedDestination
from tests.support.warehouse import Warehouse
from tests.support.worlds import settings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")

START = datetime(2026, 3, 1, 8, tzinfo=UTC)

STORED = (
    "reconciliations",
    "companion_loads",
    "job_changes",
    "jobs",
    "jobs__job_errors",
    "load_audit",
    "load_runs",
    "retention_policies",
)
"""Tables that a load a day later writes, one for each way of writing."""

VARYING = {
    *("run_id", "first_seen_at", "fetched_at", "changed_at", "checked_at", "started_at", "ended_at"),
    *("elapsed_seconds", "valid_from", "valid_to", "found_at"),
}
"""Columns that differ between two loads of the same jobs."""


@pytest.fixture
def world() -> World:
    world = World(START)
    errors = (JobError("Access denied.", True, "", 2), JobError("The item was changed.", False, "", 1))
    world.put(*(job(number, -number * 30, errors[: number % 3]) for number in range(1, 8)))
    return world


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    for module in (avepoint_m365, companions):
        monkeypatch.setattr(module, "_now", lambda: world.now)
    with Simulator(world, companions=make_companions(START)) as running:
        yield running


@pytest.mark.usual(2)
@pytest.mark.parametrize(
    ("table", "kind"),
    [
        *((table, kind) for table in STORED for kind in ("duckdb", "postgres", "filesystem", "iceberg")),
        # dlt writes this table where plain inserts are not possible.
        ("load_check_failures", "iceberg"),
    ],
)
def test_a_load_killed_right_after_it_stored_a_file_leaves_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, world: World, table: str, kind: str
) -> None:
    with SavedDestination.of(kind, tmp_path, monkeypatch) as place:
        options = LoadOptions(
            destination=place.kind,
            source=settings(simulator, object_types=["exchange_online", "teams"], include="auto"),
        )
        load(place, options)
        world.change("JOB1", errors=(), total=17)
        world.put(job(20, 5), job(21, 6, (JobError("Access denied.", True, "", 2),)))
        world.put(replace(job(22, 7), start=START + timedelta(hours=8)))
        world.advance(timedelta(hours=25))
        place.save()
        load(place, options)
        load(place, options)
        undisturbed = contents(place)
        place.restore()
        with monkeypatch.context() as once:
            kill_after(table, once)
            assert load_in_child(place.now, options).code is None
        messages = load(place, options)
        assert "An earlier load was interrupted; finishing what it had read." in messages
        assert contents(place) == undisturbed


def job(number: int, hours: float, errors: tuple[JobError, ...] = ()) -> SimulatedJob:
    """Return a job of one hour that finishes ``hours`` after the start of the test."""
    finish = START + timedelta(hours=hours)
    start = finish - timedelta(hours=1)
    return SimulatedJob(f"JOB{number}", 1 + number % 2 * 6, 1, None, start, finish, total=number, errors=errors)


def load(place: SavedDestination, options: LoadOptions) -> list[str]:
    """Load in a child process, and return its messages to the user."""
    loaded = load_in_child(place.now, options)
    assert loaded.code == 0, loaded.messages
    return loaded.messages


def kill_after(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process after it stores a file of the table, and before dlt records that."""
    managed = RunnableLoadJob.run_managed

    def run_managed(loading: RunnableLoadJob, *arguments: Any) -> None:
        run = loading.run

        def run_and_die() -> None:
            run()
            # A merge is SQL, not a file of rows.
            if (
                loading.load_table_name == table
                and ParsedLoadJobFileName.parse(loading.file_name()).file_format != "sql"
            ):
                die()

        monkeypatch.setattr(loading, "run", run_and_die)
        managed(loading, *arguments)

    monkeypatch.setattr(RunnableLoadJob, "run_managed", run_managed)


def contents(place: SavedDestination) -> dict[str, list[str]]:
    """Return the rows of each table without the columns that vary, read in a child process."""

    def read(messages: list[str]) -> tuple[int, dict[str, Any]]:
        warehouse, rows = Warehouse(place.kind), {}
        for table in TABLES:
            names = ", ".join(f'"{name}"' for name in table.names if name not in VARYING)
            rows[table.name] = sorted(map(repr, warehouse.rows(f"SELECT {names} FROM {table.name}")))
        return 0, rows

    seen = run_in_child(place.now, read)
    assert seen.code == 0, seen.messages
    return seen.cursors
