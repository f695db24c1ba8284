"""Test views as objects of a warehouse: created once, kept up to date, described, and in each SQL dialect."""

import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
import sqlglot
from m365_jobs.config.protection import Protection, Services
from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.marts import update_views
from m365_jobs.marts.catalog import COMPANION_VIEWS, PARTS, TABLES, VIEWS, source, tables, views
from m365_jobs.marts.render import render_view

from tests.integration.m365_jobs.marts.rows import Job, Read, Rows, ago
from tests.support.project import ROOT

DIALECTS = (
    *("snowflake", "bigquery", "databricks", "redshift", "clickhouse", "tsql", "athena", "trino", "postgres"),
    *("duckdb", "fabric", "dremio"),
)
SOME = Rows([Job("FB1", ago(2)), Job("FB2", None, "In Progress", start=ago(3))], [Read()])


def run(pipeline: dlt.Pipeline, sql: str) -> list[Any]:
    with pipeline.sql_client() as client:
        return list(client.execute_sql(sql) or [])


def test_views_are_created_once_and_replaced_only_after_a_change(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    settings = Protection()
    assert update_views(pipeline, settings) == list(VIEWS)
    assert update_views(pipeline, settings) == []
    run(pipeline, "DROP VIEW m365_jobs.open_jobs")
    assert update_views(pipeline, settings) == ["open_jobs"]
    changed = Protection(Services(expected=frozenset({"teams"})))
    assert update_views(pipeline, changed) == list(VIEWS)
    assert run(pipeline, "SELECT count(*) FROM m365_jobs.protection_status") == [(2,)]
    assert update_views(pipeline, changed) == []


def test_views_on_tables_that_are_missing_do_not_keep_others_away(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    run(pipeline, "DROP TABLE m365_jobs.license_consumption")
    assert update_views(pipeline, Protection()) == [name for name in VIEWS if name != "license_trend"]
    assert update_views(pipeline, Protection()) == []


def test_a_view_of_an_older_version_with_other_columns_is_replaced(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    run(pipeline, "DROP VIEW m365_jobs.open_jobs")
    run(pipeline, "CREATE VIEW m365_jobs.open_jobs AS SELECT 1 AS older")
    run(pipeline, "DROP VIEW m365_jobs._mart_versions")
    update_views(pipeline, Protection())
    assert run(pipeline, "SELECT id, hours_open FROM m365_jobs.open_jobs") == [("FB2", 3.0)]


def test_a_view_whose_column_has_another_type_is_replaced(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    columns = run(
        pipeline,
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = 'm365_jobs' AND table_name = 'open_jobs' ORDER BY ordinal_position",
    )
    run(pipeline, "DROP VIEW m365_jobs.open_jobs")
    run(pipeline, f"CREATE VIEW m365_jobs.open_jobs AS SELECT {', '.join(f'1 AS {name}' for (name,) in columns)}")
    run(pipeline, "DROP VIEW m365_jobs._mart_versions")
    update_views(pipeline, Protection())
    assert run(pipeline, "SELECT id, hours_open FROM m365_jobs.open_jobs") == [("FB2", 3.0)]


@pytest.mark.parametrize("pipeline", ["postgres"], indirect=True)
def test_views_that_keep_their_columns_keep_who_may_read_them(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    for view in VIEWS:
        run(pipeline, f"GRANT SELECT ON m365_jobs.{view} TO PUBLIC")
    assert update_views(pipeline, Protection(Services(expected=frozenset({"teams"})))) == list(VIEWS)
    granted = "SELECT table_name FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC'"
    assert set(VIEWS) <= {name for (name,) in run(pipeline, granted)}


def test_views_show_what_is_in_the_tables_now(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    run(pipeline, "UPDATE m365_jobs.jobs SET state = 'Failed' WHERE id = 'FB1'")
    assert run(pipeline, "SELECT failed_jobs FROM m365_jobs.daily_summary") == [(1,)]
    run(pipeline, "DELETE FROM m365_jobs.jobs")
    assert run(pipeline, "SELECT * FROM m365_jobs.job_facts") == []


def test_before_the_first_load_no_view_is_created(empty_pipeline: dlt.Pipeline) -> None:
    assert update_views(empty_pipeline, Protection()) == []


def test_a_refused_view_is_reported_and_the_others_stay(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    run(pipeline, "CREATE TABLE m365_jobs.open_jobs (id INT)")
    with pytest.raises(WarehouseError, match=r"open_jobs.* no table may have their names\. The next load"):
        update_views(pipeline, Protection())
    run(pipeline, "DROP TABLE m365_jobs.open_jobs")
    assert update_views(pipeline, Protection()) == list(VIEWS)


@pytest.mark.parametrize("pipeline", ["postgres"], indirect=True)
def test_loads_that_end_at_the_same_moment_do_not_fail_over_the_views(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def create() -> None:
        start.wait()
        try:
            update_views(pipeline, Protection())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert update_views(pipeline, Protection()) == []


def test_comments_describe_each_column(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    if pipeline.destination.destination_name == "duckdb":
        columns = "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'm365_jobs'"
        relations = """SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'm365_jobs'
            UNION ALL SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = 'm365_jobs'"""
    else:
        columns = """SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'm365_jobs'::regnamespace"""
        relations = """SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
            WHERE relnamespace = 'm365_jobs'::regnamespace"""
    for relation in (*views(), *tables()):
        message = {name: comment for table, name, comment in run(pipeline, columns) if table == relation.name}
        for column in relation.columns:
            assert message[column.name].startswith(column.description)
            assert column.unit in message[column.name]
        assert dict(run(pipeline, relations))[relation.name] == relation.about


def test_a_duckdb_warehouse_answers_under_another_name_and_attached(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    pipeline = dlt.pipeline(
        "marts",
        pipelines_dir=str(tmp_path / "state"),
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name="m365_jobs",
    )
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    copy = shutil.copy(file, tmp_path / "copy.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS other (READ_ONLY)")
        assert connection.execute("SELECT id FROM other.m365_jobs.open_jobs").fetchall() == [("FB2",)]


TYPES = {
    "text": {"VARCHAR", "character varying", "text"},
    "timestamp": {"TIMESTAMP WITH TIME ZONE", "timestamp with time zone"},
    "bigint": {"BIGINT", "bigint"},
    "double": {"DOUBLE", "double precision"},
    "boolean": {"BOOLEAN", "boolean"},
    "date": {"DATE", "date"},
}


def test_columns_and_types_are_those_that_are_described(pipeline: dlt.Pipeline) -> None:
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    result = run(
        pipeline,
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'm365_jobs' ORDER BY table_name, ordinal_position",
    )
    for relation in (*views(), *tables()):
        here = [row[1:] for row in result if row[0] == relation.name and not row[1].startswith("_dlt_")]
        assert sorted(name for name, _ in here) == sorted(column.name for column in relation.columns)
        for column in relation.columns:
            assert dict(here)[column.name] in TYPES[column.type]
        if relation.name in VIEWS:
            assert [name for name, _ in here] == [column.name for column in relation.columns]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_reads_the_same_in_every_dialect(view: str, dialect: str) -> None:
    described = next(item for item in views() if item.name == view)
    parsed = sqlglot.parse_one(render_view(view, dialect, Protection(), lambda name: ("m365_jobs", name)), read=dialect)
    assert isinstance(parsed, sqlglot.exp.Query)
    assert parsed.named_selects == [column.name for column in described.columns]
    bases = {table.name for table in parsed.find_all(sqlglot.exp.Table) if table.db == "m365_jobs"}
    assert bases <= set(TABLES)
    # sqlglot does not translate functions that it does not know, so DuckDB's own functions must not remain.
    unknown = {function.name.lower() for function in parsed.find_all(sqlglot.exp.Anonymous)}
    assert not unknown & {"epoch", "time_to_unix"}


@pytest.mark.usual(4)
@pytest.mark.parametrize("view", VIEWS)
def test_the_file_of_a_view_is_plain_sql_that_duckdb_runs_as_it_is(view: str, tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    pipeline = dlt.pipeline(
        "marts",
        pipelines_dir=str(tmp_path / "state"),
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name="m365_jobs",
    )
    SOME.load(pipeline)
    update_views(pipeline, Protection())
    with duckdb.connect(str(file)) as connection:
        connection.execute("USE m365_jobs")
        for part in PARTS:
            connection.execute(f"CREATE VIEW {part} AS {source(part)}")
        as_it_is = connection.execute(source(view)).fetchall()
        assert as_it_is == connection.execute(f"SELECT * FROM {view}").fetchall()
        assert as_it_is or view in {"error_summary", *COMPANION_VIEWS}


def test_the_wheel_holds_the_files_of_the_marts(tmp_path: Path) -> None:
    root = ROOT
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        loaded = {name for name in wheel.namelist() if name.startswith("m365_jobs/marts/")}
    folder = root / "pipelines" / "m365_jobs" / "marts"
    files = {item for kind in ("*.sql", "*.toml") for item in folder.rglob(kind)}
    assert len(files) > len(VIEWS)
    assert {f"m365_jobs/marts/{file.relative_to(folder).as_posix()}" for file in files} <= loaded
