"""Test SQL of the user: read-only in any spelling, on each destination, and printed as requested."""

import csv
import io
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Simulator
from m365_jobs.cli.app import app
from m365_jobs.cli.tables import query_result
from m365_jobs.errors.exceptions import QueryError
from m365_jobs.warehouse.query import BATCH, QueryResult, checked_sql, run_query
from m365_jobs.warehouse.reader import Reader, open_reader
from typer.testing import CliRunner

from tests.support.cli import NewUser
from tests.support.warehouse import Warehouse, administer, database_for

EVERYTHING = "SELECT * FROM jobs ORDER BY tenant, id"


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    with database_for(request.param) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield Warehouse(request.param)


def ask(place: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    with open_reader(place.pipeline()) as reader:
        return read(reader, sql)


def read(reader: Reader, sql: str) -> list[tuple[Any, ...]]:
    with run_query(reader, sql) as result:
        return [row for rows in result.batches for row in rows]


def run(place: Warehouse, *arguments: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, ["query", *arguments, "--destination", place.destination], input=stdin)


READS = {
    "SELECT 1": [(1,)],
    "  -- a comment; with a semicolon\n select 'a;b' || '%s %' ;": [("a;b%s %",)],
    "VALUES (1), (2)": [(1,), (2,)],
    "WITH one AS (SELECT 1 AS n) SELECT n FROM one UNION ALL SELECT 2 ORDER BY 1": [(1,), (2,)],
    "SELECT count(*) = (SELECT count(*) FROM jobs) FROM job_facts f JOIN jobs j ON f.id = j.id": [(True,)],
    "SELECT count(*) > 0 FROM m365_jobs.jobs WHERE state <> 'delete from jobs'": [(True,)],
    "SELECT id FROM jobs WHERE false": [],
}

WRITES = (
    "DELETE FROM jobs",
    "delete/**/from jobs",
    "DELETE FROM jobs RETURNING id",
    "WITH gone AS (DELETE FROM jobs RETURNING id) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM jobs",
    "SELECT 1; DELETE FROM jobs",
    "SELECT 1; COMMIT; DELETE FROM jobs",
    "COMMIT",
    "BEGIN",
    "INSERT INTO jobs SELECT * FROM jobs",
    "UPDATE jobs SET state = 'x'",
    "TRUNCATE jobs",
    "DROP VIEW open_jobs",
    "CREATE TABLE mine AS SELECT 1 AS one",
    "CREATE TEMP TABLE mine AS SELECT 1 AS one",
    "SELECT 1 AS one INTO mine",
    "ALTER TABLE jobs ADD COLUMN mine INT",
    "COPY jobs TO 'stolen.csv'",
    "COPY (SELECT 1) TO 'stolen.csv'",
    "ATTACH 'stolen.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "EXPORT DATABASE 'stolen'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "PREPARE mine AS DELETE FROM jobs",
    "DO $$BEGIN DELETE FROM m365_jobs.jobs; END$$",
    "CALL mine()",
    "VACUUM",
    "",
    "-- nothing",
    # Access to files, and actions through functions.
    "SELECT * FROM read_csv('secret.csv')",
    "SELECT * FROM 'secret.csv'",
    "SELECT content FROM read_text('secret.csv')",
    "SELECT * FROM glob('*')",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_catalog.\"pg_read_file\"('/etc/hostname')",
    "SELECT PG_READ_FILE--\n('/etc/hostname')",
    "SELECT U&\"pg_re\\0061d_file\"('/etc/hostname')",
    "SELECT * FROM query_to_xml('SELECT pg_read_file(''/etc/hostname'')', true, true, '')",
    "SELECT * FROM pg_ls_dir('.')",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT table_to_xml(('pg_hba_' || 'file_rules')::regclass, true, true, '')",
    "SELECT schema_to_xml_and_xmlschema('pg_catalog', true, true, '')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT nextval('numbers')",
    "SELECT public.erase()",
)


def test_a_query_reads_and_nothing_else(place: Warehouse, simulator: Simulator, tmp_path: Path) -> None:
    place.load(simulator)
    if place.destination == "postgres":
        erase = "CREATE FUNCTION public.erase() RETURNS bigint LANGUAGE sql AS $$SELECT lo_create(4711)::bigint$$"
        credentials = place.pipeline().destination_client().config.credentials
        assert credentials is not None
        address = credentials.to_native_representation()
        administer("CREATE SEQUENCE m365_jobs.numbers", erase, address=address)
    (tmp_path / "secret.csv").write_text("secret\nhidden\n")
    before, files = ask(place, EVERYTHING), sorted(tmp_path.glob("*"))
    with open_reader(place.pipeline()) as reader:
        # A connection to PostgreSQL serves one query.
        run_query = partial(ask, place) if place.destination == "postgres" else partial(read, reader)
        for sql, rows in READS.items():
            assert run_query(sql) == rows
        for sql in WRITES:
            with pytest.raises(QueryError):
                pytest.fail(f"{sql!r} was run: {run_query(sql)}")
    assert ask(place, EVERYTHING) == before
    assert sorted(tmp_path.glob("*")) == files
    if place.destination == "postgres":
        assert administer("SELECT count(*) FROM pg_largeobject_metadata", address=address) == [(0,)]


def test_rows_are_printed_as_they_arrive(place: Warehouse) -> None:
    endless = {"postgres": "SELECT generate_series(1, 100000000000)"}
    sql = endless.get(place.destination, "SELECT * FROM range(1, 100000000000)")
    with open_reader(place.pipeline()) as reader, run_query(reader, sql) as result:
        seen = [number for _ in range(2) for (number,) in next(result.batches)]
    assert seen == list(range(1, len(seen) + 1))
    assert BATCH <= len(seen) <= 2 * BATCH


def test_csv_and_json_hold_what_the_warehouse_holds(place: Warehouse, simulator: Simulator) -> None:
    place.load(simulator)
    rows = ask(place, EVERYTHING)
    names = next(csv.reader(io.StringIO(run(place, EVERYTHING, "--format", "csv").stdout)))
    printed = [
        {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in zip(names, row, strict=True)
        }
        for row in rows
    ]
    assert all(line["start_time"].endswith("+00:00") for line in printed)
    assert json.loads(run(place, EVERYTHING, "--format", "json").stdout) == printed
    in_csv = list(csv.DictReader(io.StringIO(run(place, "-", "--format", "csv", stdin=EVERYTHING).stdout)))
    assert run(place, "--format", "json", stdin=EVERYTHING).stdout == run(place, EVERYTHING, "--format", "json").stdout
    assert in_csv == [{name: "" if value is None else str(value) for name, value in row.items()} for row in printed]
    Path("mine.sql").write_text(f"\ufeff{EVERYTHING};\n", encoding="utf-8")
    assert json.loads(run(place, "--file", "mine.sql", "--format", "json").stdout) == printed


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_query_that_the_server_cancels_names_the_setting(place: Warehouse, simulator: Simulator) -> None:
    place.load(simulator)
    address = os.environ["DESTINATION__POSTGRES__CREDENTIALS"]
    administer(f"ALTER DATABASE {address.rsplit('/', 1)[1]} SET statement_timeout = '200ms'", address=address)
    done = run(place, "SELECT count(*) FROM jobs AS a, jobs AS b, jobs AS c, jobs AS d, jobs AS e")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error (query): The destination cancelled a statement: canceling statement due to")
    assert "Raise statement_timeout" in done.stderr


@pytest.mark.parametrize("place", ["duckdb", "postgres"], indirect=True)
def test_an_invalid_query_is_reported_in_one_line(place: Warehouse, simulator: Simulator) -> None:
    before = run(place, "SELECT * FROM jobs")
    assert before.exit_code == 1
    assert (
        before.stderr
        == "Error (query): Table not found: jobs. The first load (m365-jobs load) makes it in the dataset.\n"
    )
    place.load(simulator)
    unknown = [run(place, f"SELECT * FROM {name}").stderr for name in ("job", "m365_jobs.jbos", "customers")]
    assert unknown[:2] == [
        "Error (query): Table not found: job. Did you mean 'jobs'?\n",
        "Error (query): Table not found: jbos. Did you mean 'jobs'?\n",
    ]
    assert unknown[2].startswith("Error (query): Table not found: customers. Known are: jobs, jobs__backup_details, ")
    messages = {sql: run(place, sql) for sql in ("SELECT jobid FROM jobs", "SELEC 1", "DELETE FROM jobs")}
    assert [item.exit_code for item in messages.values()] == [1, 1, 2]
    assert "jobid" in messages["SELECT jobid FROM jobs"].stderr
    assert "SELEC" in messages["SELEC 1"].stderr
    assert "read-only" in messages["DELETE FROM jobs"].stderr
    for item in messages.values():
        assert item.stderr.count("\n") == 1
        assert item.stdout == ""


def test_a_query_works_from_the_command_line_of_a_user(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.run("load")
    shown = user.run("query", "SELECT object_type, count(*) AS jobs FROM jobs GROUP BY 1 ORDER BY 1").stdout
    counts = user.query("SELECT object_type, count(*) FROM jobs GROUP BY 1 ORDER BY 1")
    width = max(len(name) for name, _ in counts)
    assert shown.splitlines() == [
        f"{'object_type':<{width}}  jobs",
        f"{'-' * width}  ----",
        *(f"{name:<{width}}  {count:>4}" for name, count in counts),
    ]
    assert "There is no query" in user.run("query", code=2).stderr
    assert "not both" in user.run("query", "SELECT 1", "--file", __file__, code=2).stderr
    for comment in ("-- one", "--one = 1", "--one"):
        sql = f"{comment}\nSELECT 41 + 1"
        assert "Put -- before it, or pipe it" in user.run("query", sql, code=2).stderr
        assert "42" in user.run("query", "--", sql).stdout
        assert "42" in user.run_process("query", piped=sql).stdout
    assert "No such option" in user.run("query", "--one", "SELECT 1", code=2).stderr
    assert "first 1,000 rows" in user.run("query", "SELECT * FROM range(1001)").stderr
    assert user.run("query", "SELECT * FROM range(1000)").stderr == ""


def test_a_file_is_read_as_windows_writes_it_and_refused_where_its_signs_mean_nothing(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    user.run("load")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (user.folder / "mine.sql").write_text("SELECT 'Zürich' AS place", encoding=encoding)
        assert user.run("query", "--file", "mine.sql", "--format", "csv").stdout == "place\nZürich\n"
    (user.folder / "mine.sql").write_text("SELECT 'Zürich' AS place", encoding="latin-1")
    assert user.run("query", "--file", "mine.sql", code=2).stderr == (
        "Error (config): Unknown encoding: mine.sql is not UTF-8. Save it as UTF-8, then run this again.\n"
    )


def printed(rows: list[tuple[Any, ...]], columns: list[str], width: int | None) -> str:
    out = io.StringIO()
    query_result.write_table(QueryResult(columns, iter([rows])), out, width)
    return out.getvalue()


def test_rows_too_wide_for_the_terminal_are_shown_one_under_the_other() -> None:
    rows: list[tuple[Any, ...]] = [("Zugriff verweigert", 1.25, None), ("拒絶", 1 / 3, True)]
    columns = ["error_message", "hours", "seen"]
    assert printed(rows, columns, 40) == (
        "error_message          hours  seen\n"
        "------------------  --------  ----\n"
        "Zugriff verweigert      1.25  null\n"
        "拒絶                0.333333  true\n"
    )
    assert printed(rows, columns, 33) == (
        "-- row 1 --\n"
        "error_message  Zugriff verweigert\n"
        "hours          1.25\n"
        "seen           null\n"
        "-- row 2 --\n"
        "error_message  拒絶\n"
        "hours          0.333333\n"
        "seen           true\n"
    )


def test_a_message_of_the_api_cannot_command_the_terminal() -> None:
    assert printed([("\x1b[31mred\r\nnext",)], ["m"], None) == "m\n--------------\n [31mred  next\n"


def test_sums_of_postgresql_are_numbers_as_those_of_duckdb() -> None:
    # PostgreSQL sums whole numbers to decimals.
    rows = [(Decimal(14), Decimal(2**63 + 1), Decimal("0.25"), Decimal("NaN"))]
    out = io.StringIO()
    query_result.write_json(QueryResult(["a", "b", "c", "d"], iter([rows])), out)
    assert json.loads(out.getvalue()) == [{"a": 14, "b": 2**63 + 1, "c": 0.25, "d": None}]
    assert printed([(Decimal(1_234_567), Decimal(2**53 + 1), Decimal("0.25"))], ["a", "b", "c"], None) == (
        "      a                 b     c\n-------  ----------------  ----\n1234567  9007199254740993  0.25\n"
    )


def test_columns_with_the_same_name_get_different_json_keys() -> None:
    out = io.StringIO()
    query_result.write_json(QueryResult(["id", "id", "id_2"], iter([[(1, 2, float("nan"))]])), out)
    assert json.loads(out.getvalue()) == [{"id": 1, "id_2": 2, "id_2_2": None}]


class Elsewhere:
    """Simulate a destination for which SQL is only translated."""

    def make_qualified_table_name(self, table_name: str) -> str:
        return f'"DB"."M365_JOBS"."{table_name.upper()}"'

    def execute_query(self, query: str, *args: Any) -> Any:
        raise AssertionError(query)


def test_on_other_destinations_unqualified_names_are_those_of_the_dataset_and_writes_are_refused() -> None:
    reader = Reader(Elsewhere(), "snowflake")
    assert checked_sql(
        reader, "WITH jobs2 AS (SELECT * FROM jobs) SELECT * FROM jobs2 JOIN other.jobs AS o ON TRUE"
    ) == ('WITH jobs2 AS (SELECT * FROM "DB"."M365_JOBS"."JOBS") SELECT * FROM jobs2 JOIN other.jobs AS o ON TRUE')
    for sql in ("DELETE FROM jobs", "SELECT 1; SELECT 2", "CALL x()", "COPY INTO x FROM jobs", "", "SELEC 1", "USE x"):
        with pytest.raises(QueryError):
            checked_sql(reader, sql)
