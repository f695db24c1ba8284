"""Test jobs with very many errors: time and memory of a load stay in proportion to their number."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from avepoint_simulator import JobError, SimulatedJob, Simulator, World, make_world
from dlt.pipeline.exceptions import PipelineStepFailed
from m365_jobs.errors.explain import explain
from m365_jobs.load import run as loading

from tests.support.cli import NOW
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse


@pytest.fixture
def duckdb_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    return Warehouse("duckdb")


def newest(world: World, jobs: int) -> list[SimulatedJob]:
    ended = (job for job in world.visible() if job.errors and job.finish and job.finish <= NOW)
    return sorted(ended, key=lambda job: (job.finish, job.id))[-jobs:]


def world_with_errors(jobs: int, errors_each: int) -> World:
    """Return a tenant whose newest jobs have ``errors_each`` errors each."""
    world = make_world(200, seed=7, now=NOW, days=2)
    for job in newest(world, jobs):
        error = job.errors[0]
        world.change(job.id, errors=tuple(replace(error, text=f"{error.text} {n}") for n in range(errors_each)))
    return world


@pytest.mark.parametrize(("jobs", "errors_each"), [(1, 10_000), (20, 300)])
def test_jobs_with_very_many_errors_are_loaded_again_and_again(
    duckdb_place: Warehouse, jobs: int, errors_each: int
) -> None:
    world = world_with_errors(jobs, errors_each)
    with Simulator(world) as simulator:
        for _ in range(2):
            duckdb_place.load(simulator)
            assert duckdb_place.contents() == on_server(world, False)
            for job in newest(world, jobs):
                world.change(job.id, errors=job.errors[:-1])


def test_a_package_that_is_too_large_for_the_destination_is_read_again_in_smaller_chunks(
    duckdb_place: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, since = make_world(30, seed=7, now=NOW, days=20), NOW - timedelta(days=21)
    with Simulator(world) as simulator:
        duckdb_place.load(simulator)
    for job in list(world.visible()):
        world.change(
            job.id, errors=tuple(JobError(f"{job.id} {n} ".ljust(160_000, "x"), True, "", 1) for n in range(8))
        )
    monkeypatch.setattr(loading, "CHUNK_JOBS", 80)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG", '{"memory_limit": "90MB", "threads": 1}')
    with Simulator(world) as simulator:
        with pytest.raises(PipelineStepFailed) as failure:
            duckdb_place.load(simulator, since, max_open_days=1)
        assert "ran out of memory" in explain(failure.value).text
        duckdb_place.load(simulator, since, max_open_days=1)
        assert any("in chunks of 1/8 of the usual size" in line for line in duckdb_place.messages)
        assert duckdb_place.contents() == on_server(world, False)
