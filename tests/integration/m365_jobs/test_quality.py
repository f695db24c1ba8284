"""Test data checks of loaded rows: failures are reported and stored, and no row is dropped."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dlt
import duckdb
import pyarrow as pa
import pytest
import sqlglot
from avepoint_simulator import JobError, SimulatedJob, Simulator, World, make_world
from m365_jobs.load import data_checks
from m365_jobs.warehouse.reader import Reader
from m365_jobs.warehouse.tenant_scope import TenantScope

from tests.support.cli import NOW, NewUser
from tests.support.warehouse import Warehouse, administer, database_for

START = NOW - timedelta(hours=3)
SOUND = SimulatedJob("sound", 1, 1, None, START, START + timedelta(hours=1), total=5, failed=1)


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    with database_for(request.param) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield Warehouse(request.param)


def findings(place: Warehouse) -> list[tuple[str, int, str]]:
    rows = place.rows("SELECT rule, jobs, example, tenant, run_id FROM load_check_failures ORDER BY rule")
    assert {row[3:] for row in rows} <= {("default", run) for (run,) in place.rows("SELECT run_id FROM load_runs")}
    return [row[:3] for row in rows]


def test_check_failures_are_reported_and_stored_and_rows_loaded_unchanged(place: Warehouse) -> None:
    world = World(NOW)
    world.put(
        SOUND,
        replace(SOUND, id="negative", failed=-3),
        replace(SOUND, id="backwards", finish=START - timedelta(hours=1)),
        replace(SOUND, id="occurrences", errors=(JobError("Denied.", True, "", -1),)),
    )
    with Simulator(world) as simulator:
        summary = place.load(simulator)
        assert findings(place) == [
            ("non_negative_counts", 1, "negative"),
            ("non_negative_occurrences", 1, "occurrences"),
            ("valid_finish", 1, "backwards"),
        ]
        assert len(summary.findings) == 3
        assert summary.exit_code == 0
        assert place.contents().keys() == {"sound", "negative", "backwards", "occurrences"}


def test_a_load_without_check_failures_creates_an_empty_table(place: Warehouse) -> None:
    with Simulator(make_world(300, seed=61, now=NOW)) as simulator:
        assert place.load(simulator).findings == []
        assert place.load(simulator).findings == []
    assert findings(place) == []


def test_data_checks_read_only_the_rows_of_the_load(place: Warehouse) -> None:
    world = World(NOW)
    # This job stays: if a load finds no known job, it regards the API as that of another tenant.
    world.put(replace(SOUND, id="stays"), replace(SOUND, id="negative", failed=-3))
    with Simulator(world) as simulator:
        place.load(simulator)
        world.put(replace(SOUND, start=NOW - timedelta(minutes=5), finish=NOW + timedelta(hours=1)))
        world.remove("negative")
        world.advance(timedelta(days=90))
        place.load(simulator)
    assert findings(place) == [("non_negative_counts", 1, "negative")]


def test_pending_packages_are_checked_once_they_are_loaded(place: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(NOW)
    world.put(SOUND)

    def breaks_off(pipeline: dlt.Pipeline) -> None:
        raise OSError("the power went")

    with Simulator(world) as simulator:
        # The next load would read the jobs of an interrupted first load again.
        place.load(simulator)
        world.put(replace(SOUND, id="negative", failed=-3))
        with monkeypatch.context() as broken:
            broken.setattr(dlt.Pipeline, "load", breaks_off)
            with pytest.raises(OSError, match="the power went"):
                place.load(simulator)
        world.remove("negative")
        summary = place.load(simulator)
    assert findings(place) == [("non_negative_counts", 1, "negative")]
    assert len(summary.findings) == 1


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_details_and_errors_without_a_job_are_reported(place: Warehouse) -> None:
    world = World(NOW)
    with Simulator(world) as simulator:
        place.load(simulator)
        administer(
            "CREATE FUNCTION m365_jobs.swallow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF NEW.id = 'lost' THEN RETURN NULL; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER swallow BEFORE INSERT ON m365_jobs.jobs FOR EACH ROW EXECUTE FUNCTION m365_jobs.swallow()",
            address=os.environ["DESTINATION__POSTGRES__CREDENTIALS"],
        )
        world.put(SOUND, replace(SOUND, id="lost", errors=(JobError("Denied.", True, "", 1),)))
        place.load(simulator)
    assert findings(place) == [("relationship_jobs", 1, "lost")]


BROKEN = {
    "unique_jobs": "INSERT INTO jobs SELECT * FROM jobs WHERE id = 'one'",
    "unique_backup_details": "INSERT INTO jobs__backup_details SELECT * FROM jobs__backup_details WHERE job_id = 'one'",
    "unique_job_errors": "INSERT INTO jobs__job_errors SELECT * FROM jobs__job_errors WHERE job_id = 'one'",
    "relationship_jobs": "DELETE FROM jobs WHERE id = 'one'",
    "relationship_backup_details": "DELETE FROM jobs__backup_details WHERE job_id = 'one'",
    "non_negative_counts": "UPDATE jobs__backup_details SET skipped_number = -1 WHERE job_id = 'one'",
    "valid_counts": "UPDATE jobs__backup_details SET failed_number = total_number + 1 WHERE job_id = 'one'",
    "non_negative_occurrences": "UPDATE jobs__job_errors SET number = -1 WHERE job_id = 'one'",
    "known_state": "UPDATE jobs SET state = ' ' WHERE id = 'one'",
    "valid_start": "UPDATE jobs SET start_time = TIMESTAMPTZ '1970-01-01 00:00:00+00', duration_hours = NULL "
    "WHERE id = 'one'",
    "valid_finish": "UPDATE jobs SET start_time = finish_time + INTERVAL 1 SECOND, duration_hours = 0 WHERE id = 'one'",
    "known_start": "UPDATE jobs SET start_time = NULL WHERE id = 'one'",
    "known_finish": "UPDATE jobs SET finish_time = NULL WHERE id = 'one'",
    "valid_duration": "UPDATE jobs SET duration_hours = duration_hours + 0.0175 WHERE id = 'one'",
}


@pytest.mark.usual(1)
@pytest.mark.parametrize("rule", data_checks.PROBLEMS)
def test_each_rule_finds_its_problem_only(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    place, world = Warehouse("duckdb"), World(NOW)
    world.put(replace(SOUND, id="one", errors=(JobError("Denied.", True, "", 1),)), SOUND)
    with Simulator(world) as simulator:
        place.load(simulator)
    with duckdb.connect("m365_warehouse.duckdb") as connection:
        connection.execute("USE m365_jobs")
        connection.execute(BROKEN[rule])
    result = data_checks.check_jobs(place.pipeline(), "default", "run", NOW, pa.chunked_array([["one"], [SOUND.id]]))
    assert [(result.rule, result.jobs, result.example) for result in result] == [(rule, 1, "one")]


@pytest.mark.parametrize("state", ["Failed", "FinishedException", "partially finished", "Finished with Exception", "3"])
def test_a_job_that_ended_in_any_way_needs_a_finish(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    place, world = Warehouse("duckdb"), World(NOW)
    world.put(SOUND)
    with Simulator(world) as simulator:
        place.load(simulator)
    with duckdb.connect("m365_warehouse.duckdb") as connection:
        connection.execute("UPDATE m365_jobs.jobs SET state = ?, finish_time = NULL", [state])
    (failure,) = data_checks.check_jobs(place.pipeline(), "default", "run", NOW)
    assert (failure.rule, failure.jobs) == ("known_finish", 1)


def test_the_command_prints_check_failures(simulator: Simulator, new_user: NewUser) -> None:
    simulator.world.put(replace(SOUND, id="negative", failed=-3))
    message = new_user(simulator).run("load").stderr
    assert re.search(
        r"1 job has a negative number of objects \(non_negative_counts\), for instance negative\. ", message
    )


@pytest.mark.parametrize(
    "dialect",
    ["duckdb", "postgres", "snowflake", "bigquery", "databricks", "redshift", "clickhouse", "tsql", "athena"],
)
def test_the_check_query_is_valid_in_each_dialect(dialect: str) -> None:
    class Named:
        def make_qualified_table_name(self, name: str) -> str:
            return sqlglot.exp.table_(name, "m365_jobs", quoted=True).sql(dialect)

    scope = TenantScope(Reader(Named(), dialect), ["it's ours"])  # type: ignore[arg-type]
    sql = scope.sql(data_checks.CHECKS_QUERY, since=NOW.isoformat(sep=" "))
    parsed = sqlglot.parse_one(sql, read=dialect)
    assert {table.name for table in parsed.find_all(sqlglot.exp.Table)} >= {"jobs", "jobs__job_errors"}
    unknown = {function.name for function in parsed.find_all(sqlglot.exp.Anonymous)}
    # ClickHouse has this function for times; sqlglot does not know it.
    assert unknown <= {"toUnixTimestamp"} if dialect == "clickhouse" else not unknown


def test_failures_that_are_stored_again_are_in_the_warehouse_once(place: Warehouse) -> None:
    with Simulator(make_world(20, seed=1, now=NOW)) as simulator:
        place.load(simulator)
    failure = data_checks.CheckFailure("a run", "default", "a rule", "a problem", 1, "a job", NOW)
    for _ in range(2):
        data_checks.store_failures(place.pipeline(), [failure])
    assert place.rows("SELECT count(*) FROM load_check_failures WHERE run_id = 'a run'") == [(1,)]
