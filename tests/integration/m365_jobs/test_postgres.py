"""Test PostgreSQL as a warehouse, on a real server; each test has its own database."""

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from avepoint_simulator import SimulatedJob, Simulator, World, make_world
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from m365_jobs.errors.driver_messages import explain_driver_message
from m365_jobs.errors.exceptions import QueryError, WarehouseError
from m365_jobs.load.options import LoadOptions
from m365_jobs.locks import base as leases
from m365_jobs.warehouse.query import run_query
from m365_jobs.warehouse.reader import open_reader

from tests.integration.m365_jobs.test_lake import lose_errors
from tests.support.cli import NOW, NewUser
from tests.support.kill_at_step import die, load_in_child
from tests.support.truth import on_server
from tests.support.warehouse import SERVER, Warehouse, administer, database, database_as_warehouse, require_postgres
from tests.support.worlds import settings

pytestmark = pytest.mark.destinations

TO = ("--destination", "postgres")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with database_as_warehouse(tmp_path, monkeypatch) as first:
        yield first


@pytest.fixture
def postgres(address: str) -> Warehouse:
    return Warehouse("postgres")


def test_postgres_holds_what_the_server_holds_load_after_load(postgres: Warehouse) -> None:
    world = make_world(900, seed=31, now=NOW, days=10)
    with Simulator(world) as simulator:
        for _ in range(3):
            postgres.load(simulator)
            assert postgres.contents() == on_server(world, False)
            lose_errors(world)
            world.advance(timedelta(hours=3))


def test_each_loaded_row_is_in_the_database_once(postgres: Warehouse) -> None:
    with Simulator(make_world(50, seed=1, now=NOW)) as simulator:
        postgres.load(simulator)
    assert [postgres.rows(f"SELECT count(*) AS rows FROM m365_jobs{part}.jobs") for part in ("", "_staging")] == [
        [(len(postgres.contents()),)],
        [(0,)],
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")
@pytest.mark.parametrize("table", ["_dlt_pipeline_state", "load_runs"])
def test_a_load_killed_right_after_it_stored_a_file_is_finished_by_the_next(
    postgres: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    # The next load waits until the lease of the killed worker expires.
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(leases, "POLL", 0.05)
    world = make_world(50, seed=1, now=NOW)
    run = InsertValuesLoadJob.run

    def run_and_die(job: InsertValuesLoadJob) -> None:
        run(job)
        if job.load_table_name == table:
            die()

    with Simulator(world) as simulator:
        options = LoadOptions(destination="postgres", source=settings(simulator, include="none"))
        with monkeypatch.context() as once:
            once.setattr(InsertValuesLoadJob, "run", run_and_die)
            assert load_in_child(tmp_path, options).code is None
        after = load_in_child(tmp_path, options)
        assert after.code == 0, after.messages
        assert "An earlier load was interrupted; finishing what it had read." in after.messages
    assert postgres.contents() == on_server(world, False)
    for column, name in (("run_id", "load_runs"), ("_dlt_load_id", "_dlt_pipeline_state")):
        assert postgres.rows(f"SELECT {column} FROM {name} GROUP BY {column} HAVING count(*) > 1") == []


def test_bi_tools_find_primary_keys_and_indexes(postgres: Warehouse, address: str) -> None:
    with Simulator(make_world(50, seed=1, now=NOW)) as simulator:
        postgres.load(simulator)
        postgres.load(simulator)
    keys = administer(
        "SELECT i.indrelid::regclass::text, string_agg(a.attname, ', ' ORDER BY array_position(i.indkey, a.attnum)) "
        "FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) "
        "WHERE i.indisprimary AND i.indrelid::regclass::text LIKE 'm365_jobs.%' GROUP BY 1 ORDER BY 1",
        address=address,
    )
    assert keys == [
        ("m365_jobs.jobs", "tenant, id"),
        ("m365_jobs.jobs__backup_details", "tenant, job_id"),
        ("m365_jobs.jobs__job_errors", "tenant, job_id, error_index"),
        ("m365_jobs.load_leases", "tenant"),
    ]
    plan = administer(
        "SET enable_seqscan = off",
        "EXPLAIN SELECT * FROM m365_jobs.jobs WHERE finish_time >= now() - interval '1 day'",
        address=address,
    )
    assert "jobs_by_finish" in str(plan)


def test_a_reader_that_leaves_its_transaction_open_does_not_hang_a_load(
    postgres: Warehouse, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(make_world(30, seed=43, now=NOW, days=10)) as simulator:
        postgres.load(simulator)
        with closing(psycopg2.connect(address)) as reader, reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM m365_jobs.job_facts")
            monkeypatch.setenv("SOURCES__AVEPOINT_M365__EXPECTED_OBJECT_TYPES", '["power_bi"]')
            assert not hangs(lambda: postgres.load(simulator), address)
            assert "the views could not be created" in str(postgres.messages)
            assert "End the transaction that has read it and is still open" in str(postgres.messages)
        postgres.load(simulator)
    assert not any("views" in word for word in postgres.messages)
    expected = "SELECT count(*) FROM m365_jobs.protection_status WHERE object_type = 'power_bi'"
    assert administer(expected, address=address) != [(0,)]


def test_a_reader_that_leaves_its_transaction_open_does_not_hang_a_load_over_a_key(
    postgres: Warehouse, address: str
) -> None:
    with Simulator(make_world(300, seed=43, now=NOW, days=10)) as simulator:
        postgres.load(simulator)
        administer("ALTER TABLE m365_jobs.jobs DROP CONSTRAINT jobs_pkey", address=address)
        with closing(psycopg2.connect(address)) as reader, reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM m365_jobs.jobs")
            simulator.world.advance(timedelta(hours=8))
            assert not hangs(lambda: postgres.load(simulator), address)
            assert "missing keys and indexes could not be created" in str(postgres.messages)
            assert "End the transaction that has read it and is still open" in str(postgres.messages)
        simulator.world.advance(timedelta(hours=8))
        postgres.load(simulator)
    assert not any("indexes" in word for word in postgres.messages)
    made = "SELECT count(*) FROM pg_indexes WHERE indexname = 'jobs_pkey'"
    assert administer(made, address=address) == [(1,)]


def hangs(load: Callable[[], object], address: str) -> bool:
    """Return whether a load still waits after a minute; then end the transactions that block it."""
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(load)
        try:
            loading.result(timeout=60)
        except TimeoutError:
            administer(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND state = 'idle in transaction'",
                address=address,
            )
            return True
    return False


def test_a_merge_that_breaks_in_the_middle_leaves_its_table_as_it_was_and_is_finished_later(
    postgres: Warehouse, address: str
) -> None:
    world = make_world(400, seed=32, now=NOW, days=5)
    with Simulator(world) as simulator:
        postgres.load(simulator)
        errors = "SELECT job_id, error_index, value FROM m365_jobs.jobs__job_errors ORDER BY 1, 2"
        before = administer(errors, address=address)
        lose_errors(world)
        # The delete of the merge is done before its insert fails at this trigger.
        administer(
            "CREATE FUNCTION m365_jobs.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'broken in the middle'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON m365_jobs.jobs__job_errors "
            "FOR EACH ROW EXECUTE FUNCTION m365_jobs.refuse()",
            address=address,
        )
        with pytest.raises(Exception, match="broken in the middle"):
            postgres.load(simulator)
        assert administer(errors, address=address) == before
        assert len(postgres.contents()) == len(world.visible())
        administer("DROP TRIGGER refuse ON m365_jobs.jobs__job_errors", address=address)
        postgres.load(simulator)
        assert "finishing what it had read" in postgres.messages[0]
        assert postgres.contents() == on_server(world, False)


def test_load_status_and_check_from_the_command_line(address: str, simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    assert "Nothing is loaded yet" in user.run("status", *TO).stdout
    assert "the dataset comes with the first load" in user.run("check", *TO).stdout
    user.run("load", *TO)
    loaded = json.loads(user.run("status", "--format", "json", *TO).stdout)
    assert loaded["tables"]["jobs"] == len(simulator.world.visible())
    assert {partition["complete"] for partition in loaded["partitions"]} == {True}
    assert {partition["cursor"] for partition in loaded["partitions"]} == {
        partition["newest_finish"] for partition in loaded["partitions"]
    }
    assert "has the dataset" in user.run("check", *TO).stdout
    user.environment["DLT_DATA_DIR"] += "_of_another_machine"
    simulator.asked.clear()
    user.run("load", *TO)
    asked = {request.params["starttime"] for request in simulator.asked}
    assert min(asked) > (NOW - timedelta(days=60)).isoformat(), "another machine goes on from the cursors"


def test_every_command_reports_an_unreachable_server(address: str, simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address.replace(":5432", ":1")
    messages = r"cannot be reached: .*refused.* Start it, or correct host and port"
    assert re.search(messages, user.run("load", *TO, code=1).stderr)
    assert re.search(messages, user.run("status", *TO, code=1).stderr)
    assert re.search(r"FAIL  destination: .*" + messages, user.run("check", *TO, code=1).stdout)


def test_a_restarted_database_has_all_rows(address: str, simulator: Simulator, new_user: NewUser) -> None:
    user, name = new_user(simulator), address.rpartition("/")[2]
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    user.run("load", *TO)
    administer(f"ALTER DATABASE {name} RENAME TO {name}_away")
    messages = rf'no such database: .*"{name}" does not exist.* Create it, or name another'
    assert re.search(messages, user.run("load", *TO, code=1).stderr)
    administer(f"ALTER DATABASE {name}_away RENAME TO {name}")
    user.run("load", *TO)
    runs = "SELECT status, error_kind FROM m365_jobs.load_runs ORDER BY started_at"
    assert administer(runs, address=address) == [("complete", None), ("failed", "destination"), ("complete", None)]
    assert administer("SELECT count(*) FROM m365_jobs.jobs", address=address) == [(len(simulator.world.visible()),)]


def test_an_unknown_database_user_is_reported(address: str, simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address.replace("postgres:any", "stranger:their-password")
    message = user.run("load", *TO, code=1).stderr
    assert re.search(r"does not accept the credentials: .*stranger.* Set user and password", message)
    assert "their-password" not in message


def test_missing_privileges_are_reported_and_loaded_rows_stay(
    address: str, simulator: Simulator, new_user: NewUser
) -> None:
    user, role, name = new_user(simulator), f"clerk_{uuid4().hex[:8]}", address.rpartition("/")[2]
    administer(f"CREATE ROLE {role} LOGIN")
    try:
        user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address.replace("postgres:any", f"{role}:any")
        messages = r"lacks a right: .*permission denied.* To load, it must be able to create the dataset"
        assert re.search(messages, user.run("load", *TO, code=1).stderr)
        administer(f"GRANT CREATE ON DATABASE {name} TO {role}")
        user.run("load", *TO)
        loaded = administer("SELECT * FROM m365_jobs.jobs ORDER BY id", address=address)
        administer(f"REVOKE INSERT ON m365_jobs.jobs FROM {role}", address=address)
        simulator.world.advance(timedelta(hours=8))
        assert re.search(messages, user.run("load", *TO, code=1).stderr)
        assert administer("SELECT * FROM m365_jobs.jobs ORDER BY id", address=address) == loaded
        administer(f"GRANT INSERT ON m365_jobs.jobs TO {role}", address=address)
        user.run("load", *TO)
        now = {job.id for job in simulator.world.visible()}
        assert {row[0] for row in administer("SELECT id FROM m365_jobs.jobs", address=address)} == now
    finally:
        administer(f"DROP OWNED BY {role}", address=address)
        administer(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_table_of_another_program_is_not_changed(address: str, simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment["DESTINATION__POSTGRES__CREDENTIALS"] = address
    administer(
        "CREATE SCHEMA m365_jobs",
        "CREATE TABLE m365_jobs.jobs (id integer, title text)",
        "INSERT INTO m365_jobs.jobs VALUES (1, 'janitor')",
        address=address,
    )
    message = user.run("load", *TO, code=1).stderr
    assert re.search(r"already has a table jobs that this program did not make.* --dataset", message)
    assert administer("SELECT * FROM m365_jobs.jobs", address=address) == [(1, "janitor")]
    user.run("load", *TO, "--dataset", "elsewhere")
    assert administer("SELECT count(*) FROM elsewhere.jobs", address=address) == [(len(simulator.world.visible()),)]
    # By now dlt's folder knows the tables in the other dataset, but not those in this one.
    assert "Nothing was written" in user.run("load", *TO, code=1).stderr
    there = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'm365_jobs'"
    assert administer(there, address=address) == [("jobs",)]


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ('could not extend file "base/16384/16385": No space left on device', "no disk space left"),
        ("IO Error: Could not write file: No space left on device", "no disk space left"),
        ('password authentication failed for user "loader"', "does not accept the credentials"),
        ('IO Error: Could not set lock on file "m365_warehouse.duckdb"', "Another program has the warehouse open"),
        ("An error occurred (NoSuchBucket) when calling the PutObject operation", "no such database"),
        ('FATAL: too many connections for role "loader"', "accepts no more connections: .* Raise its limit"),
        ("cannot execute INSERT in a read-only transaction", "can only be read: .* primary server"),
        ("canceling statement due to statement timeout", "cancelled a statement: .* Raise statement_timeout"),
        ('IO Error: Cannot open file "/w/w.duckdb.wal": Permission denied', "may not read or write .* the folder"),
        ("Unable to open file /lake/a.parquet: Permission denied (os error 13)", "may not read or write .* the folder"),
        ("could not connect: No such file or directory. Is the server running locally?", "cannot be reached"),
        ("Kernel error: Json error: Truncated record", "is damaged.* Restore a copy"),
        ("Corrupt database file: computed checksum 1 does not match stored checksum 2", "is damaged.* Restore a copy"),
        ("Trying to read a database file with version number 99", "Another version of DuckDB wrote the file"),
        ("Error performing GET http://x/lake in 2s - Server returned non-2xx status code: 503", "overloaded .* Wait"),
        ("An error occurred (503) when calling the HeadObject operation: Service Unavailable", "overloaded .* Wait"),
        ("An error occurred (SlowDown) when calling PutObject: Please reduce your request rate", "overloaded .* Wait"),
        ("something new", "The destination refused: something new. Check its address, credentials and rights"),
    ],
)
def test_each_refusal_of_the_server_is_explained_with_its_cure(words: str, meaning: str) -> None:
    assert re.search(meaning, explain_driver_message(words))


def test_tests_of_postgres_fail_where_a_server_is_promised_and_are_skipped_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.support.warehouse.SERVER", SERVER.replace(":5432", ":1"))
    monkeypatch.delenv("M365_TEST_POSTGRES_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="does not answer"):
        require_postgres()
    monkeypatch.setenv("M365_TEST_POSTGRES_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="does not answer"):
        require_postgres()


def test_a_tenant_without_jobs_or_without_news_is_loaded_too(postgres: Warehouse) -> None:
    world = World(NOW)
    with Simulator(world) as simulator:
        postgres.load(simulator)
        assert postgres.contents() == {}
        world.put(SimulatedJob("one", 1, 1, None, NOW, NOW + timedelta(minutes=1)))
        world.advance(timedelta(hours=1))
        postgres.load(simulator)
        assert postgres.contents() == on_server(world, False)
        world.advance(timedelta(days=90))
        postgres.load(simulator)
        postgres.load(simulator)
        assert postgres.contents() == on_server(world, False)


def test_a_server_that_stops_during_a_query_is_reported(postgres: Warehouse, address: str) -> None:
    with Simulator(make_world(20, seed=1, now=NOW)) as simulator:
        postgres.load(simulator)
    name = address.rpartition("/")[2]

    def read_on() -> None:
        with (
            open_reader(postgres.pipeline()) as reader,
            run_query(reader, "SELECT * FROM generate_series(1, 100000)") as result,
        ):
            assert next(result.batches)
            administer(
                f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            )
            list(result.batches)

    with pytest.raises(QueryError, match=r"The destination accepts no more connections: .* run this again"):
        read_on()


def test_a_database_that_cannot_hold_every_text_is_refused_before_anything_is_written(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("DLT_DATA_DIR", f"{tmp_path}/dlt")
    with database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0") as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        with Simulator(make_world(10, seed=1, now=NOW)) as simulator:
            with pytest.raises(WarehouseError, match=r"encoding LATIN1.*ENCODING 'UTF8'"):
                Warehouse("postgres").load(simulator)
            assert simulator.asked == []
        made = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'm365%'"
        assert administer(made, address=address) == []
