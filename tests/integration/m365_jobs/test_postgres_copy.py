"""Test that rows reach PostgreSQL by COPY only if that keeps each text; each test has its own database."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dlt
import psycopg2
import pytest
from avepoint_simulator import JobError, Simulator, World, make_world

from tests.support.cli import NOW
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse, database_as_warehouse

pytestmark = pytest.mark.destinations

TABLES = ("jobs", "jobs__backup_details", "jobs__job_errors")
TEXTS = (
    *("a, b", 'a "quoted" text', "two\nlines", "two\r\nlines", "\\N", "\\", "NULL", " ", "ü\t☂"),
    *("'; DROP TABLE jobs; --", "\\.", "before\n\\.\nafter"),
)


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with database_as_warehouse(tmp_path, monkeypatch):
        yield Warehouse("postgres")


def world_with_texts(*texts: str) -> World:
    """Return a tenant with a job whose errors have these texts; no other text is empty.

    Its jobs are so new that each load reads all of them.
    """
    world = make_world(100, seed=3, now=NOW, days=0.8)
    failed = [job for job in world.visible() if job.errors]
    for job in failed:
        world.change(job.id, errors=tuple(replace(error, url="https://support.example") for error in job.errors))
    world.change(failed[0].id, errors=tuple(JobError(text, True, text, 1) for text in texts))
    return world


def formats(pipeline: dlt.Pipeline) -> dict[str, str]:
    """Return the file format of each table in the last load."""
    assert pipeline.last_trace is not None
    assert pipeline.last_trace.last_load_info is not None
    jobs = [
        job for package in pipeline.last_trace.last_load_info.load_packages for job in package.jobs["completed_jobs"]
    ]
    files = {job.job_file_info for job in jobs if job.job_file_info.file_format in ("csv", "insert_values")}
    return {file.table_name: file.file_format for file in files}


def test_rows_are_copied_and_their_texts_stay_as_they_are(postgres: Warehouse) -> None:
    world = world_with_texts(*TEXTS)
    with Simulator(world) as simulator:
        postgres.load(simulator)
    assert postgres.contents() == on_server(world, False)
    assert {table: formats(postgres.pipeline())[table] for table in TABLES} == dict.fromkeys(TABLES, "csv")


def test_an_empty_text_does_not_become_null(postgres: Warehouse) -> None:
    world = world_with_texts(*TEXTS, "")
    with Simulator(world) as simulator:
        postgres.load(simulator)
    assert postgres.contents() == on_server(world, False)
    assert formats(postgres.pipeline())["jobs__job_errors"] == "insert_values"


def test_loads_with_and_without_empty_texts_take_turns(postgres: Warehouse) -> None:
    world = world_with_texts("first")
    with Simulator(world) as simulator:
        for text in ("", "changed", "", "changed again"):
            for job in [job for job in world.visible() if job.errors]:
                world.change(job.id, errors=tuple(replace(error, text=text, url=text) for error in job.errors))
            postgres.load(simulator)
            assert postgres.contents() == on_server(world, False)
            assert formats(postgres.pipeline())["jobs__job_errors"] == ("csv" if text else "insert_values")


def test_a_load_with_another_file_format_writes_beside_others(
    postgres: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_with_texts("first")
    address = os.environ["DESTINATION__POSTGRES__CREDENTIALS"]
    with Simulator(world) as simulator, closing(psycopg2.connect(address)) as other:
        postgres.load(simulator)
        for job in [job for job in world.visible() if job.errors]:
            world.change(job.id, errors=tuple(replace(error, url="") for error in job.errors))
        # Another worker holds this shared lock while it writes.
        other.cursor().execute("SELECT pg_advisory_lock_shared(hashtext('m365_jobs m365_jobs'))")
        # A load that asks for the exclusive lock fails.
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{address}?options=-clock_timeout%3D3000")
        postgres.load(simulator)
    assert formats(postgres.pipeline())["jobs__job_errors"] == "insert_values"
    assert postgres.contents() == on_server(world, False)
