"""Test that long ranges load in chunks, each committed alone; a killed load continues after the last chunk."""

import gc
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import avepoint_m365
import duckdb
import pyarrow as pa
import pytest
from avepoint_m365 import Progress
from avepoint_m365.constants import ObjectType
from avepoint_simulator import Answer, Asked, SimulatedJob, Simulator, World, make_world
from avepoint_simulator.tenant import READINGS
from m365_jobs.health import status
from m365_jobs.load import run as loading

from tests.support.cli import NOW
from tests.support.kill_at_step import load_in_child
from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import reinterpret, settings

Load = Callable[..., list[str]]

START = datetime(2026, 11, 28, 9, 42, tzinfo=UTC)
"""The time of the simulated tenant, for loads with a driven clock."""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setattr(loading, "CHUNK_JOBS", 100)
    # Some jobs show what a range means. Whether a chunk holds one must not depend on the time of day.
    monkeypatch.setattr(avepoint_m365, "_now", lambda: START + timedelta(hours=9))

    def run(simulator: Simulator, since: str | None = None) -> list[str]:
        message: list[str] = []
        begin = datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None
        loading.load(loading.LoadOptions(begin, source=settings(simulator)), Progress(), message.append)
        return message

    return run


def windows(simulator: Simulator) -> set[tuple[str, str]]:
    """Return the windows whose jobs were read; requests that only count the jobs of a range use small pages."""
    return {
        (asked.params["starttime"], asked.params["finishtime"])
        for asked in simulator.asked
        if asked.params["pagesize"] != "10"
    }


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", READINGS)
def test_a_first_load_in_slices_holds_what_the_server_holds(tmp_path: Path, load: Load, reading: str) -> None:
    world = make_world(300, seed=21, now=START, days=300)
    world.reading = reading
    with Simulator(world) as simulator:
        message = load(simulator)
        # The first chunk, at least one in the middle, and the last.
        assert len([line for line in message if "Continuing" in line]) >= 2
        assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)
        partitions = status.read_status()["partitions"]
        assert len(partitions) == len(ObjectType)
        assert all(datetime.fromisoformat(str(partition["complete_until"])) > world.now for partition in partitions)
        world.advance(timedelta(hours=8))
        assert load(simulator) == []
        assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)


@pytest.mark.usefixtures("load")
def test_a_job_in_several_chunks_counts_as_new_once() -> None:
    world = make_world(250, seed=21, now=START, days=150)
    # A range returns only jobs that lie fully in it, so each chunk is requested from before its start.
    world.reading = "whole"
    with Simulator(world) as simulator:
        summary = loading.load(loading.LoadOptions(source=settings(simulator)), Progress(), print)
    assert summary.unchanged > 0
    assert (summary.new, summary.changed) == (len(world.visible()), 0)


@pytest.mark.usual(1)
@pytest.mark.parametrize("since", [None, "2020-01-01"])
def test_a_failed_load_continues_after_the_last_chunk(tmp_path: Path, load: Load, since: str | None) -> None:
    world = make_world(500, seed=22, now=START, days=300)

    def broken(asked: Asked) -> Answer | None:
        chunks = {start for start, _ in windows(simulator)}
        return Answer(403) if len(chunks) > 3 else None

    with Simulator(world, fault=broken) as simulator:
        with pytest.raises(Exception, match="jobInfo"):
            load(simulator, since=since)
        first = windows(simulator)
        simulator.fault = None
        simulator.asked.clear()
        load(simulator, since=since)
        # Until it is known what a range means, each chunk is requested from max_open_days before its start.
        reached = datetime.fromisoformat(max(first)[0]) - timedelta(days=14)
        repeated = {window for window in windows(simulator) if datetime.fromisoformat(window[0]) < reached}
        assert repeated == set(), "chunks that were committed are not read again"
        assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)


@pytest.mark.usual(1)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")
@pytest.mark.parametrize("step", [660, 900])
@pytest.mark.parametrize("since", [None, NOW - timedelta(days=400)])
def test_a_killed_load_continues_after_the_last_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: datetime | None, step: int
) -> None:
    monkeypatch.setattr(loading, "CHUNK_JOBS", 100)
    world = make_world(500, seed=22, now=NOW, days=300)
    file = tmp_path / "m365_warehouse.duckdb"
    with Simulator(world) as simulator:
        options = loading.LoadOptions(since, source=settings(simulator))
        assert load_in_child(tmp_path, options, kill_at=step).code is None
        with duckdb.connect(str(file), read_only=True) as connection:
            # The audit of a chunk may be written when the load is killed before the end of its package.
            ends = connection.execute(
                "SELECT max(epoch(window_end)) FROM m365_jobs.load_audit "
                "WHERE started_at < (SELECT max(inserted_at) FROM m365_jobs._dlt_loads)"
            ).fetchall()
        loaded_until = datetime.fromtimestamp(ends[0][0], UTC)
        assert loaded_until < NOW - timedelta(days=30), "more chunks were left"
        simulator.asked.clear()
        assert load_in_child(tmp_path, options).code == 0
        reached = loaded_until - timedelta(days=14, seconds=1)
        assert min(windows(simulator))[0] >= f"{reached:%Y-%m-%dT%H:%M:%SZ}"
        assert in_warehouse(file) == on_server(world, False)


def test_a_server_that_ignores_the_range_is_listed_once(tmp_path: Path, load: Load) -> None:
    world = make_world(300, seed=23, now=START, days=200)
    reinterpret(world, lambda filters: filters._replace(since=None, until=None))
    with Simulator(world) as simulator:
        assert load(simulator) == []
        assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)


def test_a_first_chunk_before_all_known_jobs_is_not_taken_for_another_tenants(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test more jobs with the same finish than a chunk may hold: the chunk ends before them."""
    monkeypatch.setattr(loading, "CHUNK_JOBS", 3)
    jobs = [SimulatedJob(f"JOB{number}", 1, 1, None, START, START, total=number) for number in range(1, 5)]
    world = World(START)
    world.reading, world.bounds = "overlap", "exclusive"
    world.put(jobs[0])
    with Simulator(world) as simulator:
        load(simulator)
        world.put(*jobs[1:])
        load(simulator)
        assert in_warehouse(tmp_path / "m365_warehouse.duckdb") == on_server(world, False)
    with duckdb.connect(str(tmp_path / "m365_warehouse.duckdb")) as connection:
        assert connection.execute("SELECT status FROM m365_jobs.load_runs").fetchall() == [("complete",)] * 2


def test_the_memory_of_a_load_does_not_grow_with_its_chunks(load: Load) -> None:
    loaded: list[int] = []

    def fault(asked: Asked) -> None:
        loaded.append(pa.total_allocated_bytes())

    # When Python collects cycles depends on everything else in the process, so collect now and stop it.
    gc.collect()
    gc.disable()
    before = pa.total_allocated_bytes()
    try:
        with Simulator(make_world(600, seed=23, now=START, days=600), fault=fault) as simulator:
            message = load(simulator)
    finally:
        gc.enable()
    assert len([line for line in message if "Continuing" in line]) >= 4
    third = len(loaded) // 3
    first, last = max(loaded[:third]) - before, max(loaded[-third:]) - before
    assert last < first * 2, f"{first:,} bytes of jobs were held at first, {last:,} at last"
