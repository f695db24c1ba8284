"""Test the path of the DuckDB file and the limits of DuckDB, in each form of dlt's configuration."""

import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from avepoint_simulator import SimulatedJob, Simulator, make_world
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.target import duckdb_file

from tests.support.cli import NOW, NewUser
from tests.support.warehouse import Warehouse


@pytest.mark.parametrize(
    ("secrets", "environment", "file", "threads"),
    [
        ("", {}, "m365_warehouse.duckdb", 2),
        ('[destination.duckdb]\ncredentials = "own.duckdb"', {}, "own.duckdb", 2),
        ('[destination.duckdb.credentials]\ndatabase = "own.duckdb"', {}, "own.duckdb", 2),
        ("[destination.duckdb.credentials]\nglobal_config = {threads = 1}", {}, "m365_warehouse.duckdb", 1),
        ("", {"CREDENTIALS": "own.duckdb"}, "own.duckdb", 2),
        ("", {"CREDENTIALS__DATABASE": "own.duckdb"}, "own.duckdb", 2),
        ("", {"CREDENTIALS__GLOBAL_CONFIG": '{"threads": 1}'}, "m365_warehouse.duckdb", 1),
    ],
)
def test_the_configuration_sets_the_file_and_the_limits_of_duckdb(
    secrets: str,
    environment: dict[str, str],
    file: str,
    threads: int,
    configuration_of: Callable[[Path], PluggableRunContext],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    for name, value in environment.items():
        monkeypatch.setenv(f"DESTINATION__DUCKDB__{name}", value)
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(secrets, encoding="utf-8")
    configuration_of(tmp_path)
    for _ in range(2):
        pipeline = warehouse.open_pipeline("default")
        assert duckdb_file(pipeline) == tmp_path / file
        with pipeline.sql_client() as client:
            rows = client.execute_sql("SELECT current_setting('threads'), current_setting('memory_limit')")
        assert rows is not None
        assert rows == [(threads, "238.4 MiB" if threads == 2 else rows[0][1])]


def test_each_loaded_row_is_in_the_file_once_unless_staging_tables_are_kept(
    new_user: NewUser, simulator: Simulator
) -> None:
    mine = new_user(simulator)
    staged = "SELECT count(*) FROM m365_jobs_staging."
    names = ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit")
    mine.run("load")
    # The first rows of a tenant need no staging tables.
    simulator.world.put(SimulatedJob("second", 1, 1, None, NOW - timedelta(hours=3), NOW - timedelta(hours=2)))
    mine.run("load")
    assert [mine.query(staged + name) for name in names] == [[(0,)]] * 4
    assert [mine.query(f"SELECT count(*) > 0 FROM {name}") for name in names] == [[(True,)]] * 4
    mine.environment["LOAD__TRUNCATE_STAGING_DATASET"] = "false"
    simulator.world.put(SimulatedJob("new", 1, 1, None, NOW - timedelta(hours=2), NOW - timedelta(hours=1)))
    mine.run("load")
    assert mine.query("SELECT id FROM m365_jobs_staging.jobs") == [("new",)]


def storage_of(file: Path) -> str:
    """Return the storage version of a file: the oldest DuckDB that reads it."""
    with duckdb.connect(str(file), read_only=True) as connection:
        sql = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = ?"
        return str(connection.execute(sql, [file.stem]).fetchall()[0][0])


@pytest.mark.parametrize(("setting", "format"), [(None, "v1.4.0+"), ("v1.5.0", "v1.5.0+")])
@pytest.mark.usual(1)
def test_a_new_file_has_the_configured_storage_version_after_loads(
    setting: str | None, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    if setting:
        monkeypatch.setenv("SOURCES__AVEPOINT_M365__DUCKDB_STORAGE_VERSION", setting)
    world = make_world(20, seed=1, now=NOW)
    with Simulator(world) as simulator:
        for _ in range(2):
            Warehouse("duckdb").load(simulator)
            world.advance(timedelta(hours=3))
    assert storage_of(tmp_path / "m365_warehouse.duckdb") == format


COMMANDS = ("check", "verify", "status", "health", "alerts", "query SELECT", "tenant remove x", "tenant rename x y")


@pytest.mark.parametrize("setting", [None, '{"threads": 1}'], ids=["usual", "own"])
@pytest.mark.usual(1)
def test_commands_before_the_first_load_create_no_file_in_another_format(
    simulator: Simulator, new_user: NewUser, setting: str | None
) -> None:
    user = new_user(simulator)
    file = user.folder / "m365_warehouse.duckdb"
    if setting:
        # DuckDB checks such settings only when it opens the file.
        user.environment["DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG"] = setting
    for command in ("check",) if setting else COMMANDS:
        user.run(*command.split(), code=None)
        assert file.exists() == bool(setting)
    checked = user.run("check").stdout
    assert "m365_warehouse.duckdb: can be reached; the dataset comes with the first load" in checked
    user.run("load")
    assert storage_of(file) == "v1.4.0+"
    if os.name != "nt":
        assert file.stat().st_mode & stat.S_IRWXO == 0


@pytest.mark.parametrize("setting", ["v1.0.0", "v1.3.2", "1.4", "newest", "v99.0.0"])
def test_a_storage_version_that_is_old_or_unknown_is_refused(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__DUCKDB_STORAGE_VERSION", setting)
    with Simulator(make_world(20, seed=1, now=NOW)) as simulator:
        with pytest.raises(UsageError, match="duckdb_storage_version"):
            Warehouse("duckdb").load(simulator)
        assert simulator.asked == []
    assert not (tmp_path / "m365_warehouse.duckdb").exists()
