"""Test log rows that a load writes without a dlt run, on each kind of destination."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Simulator, make_world
from m365_jobs.warehouse.append import append_rows

from tests.support.cli import NOW
from tests.support.warehouse import Warehouse, empty_warehouse
from tests.support.warehouse_templates import WarehouseTemplates

RUN = "f" * 32
STARTED = datetime(2026, 3, 1, 2, 3, 4, 567890, UTC)


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


def load_once(place: Warehouse) -> None:
    with Simulator(make_world(30, seed=1, now=NOW)) as simulator:
        place.load(simulator)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseTemplates]:
    with WarehouseTemplates(tmp_path_factory.mktemp("loaded"), load_once) as made:
        yield made


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def loaded(
    request: pytest.FixtureRequest, templates: WarehouseTemplates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """Return a warehouse with the rows of one load."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    with templates.copy(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


def run_row(tenant: str = "default", run_id: str = RUN) -> dict[str, Any]:
    ended_at = STARTED + timedelta(seconds=5)
    row = {"run_id": run_id, "tenant": tenant, "status": "complete", "started_at": STARTED, "ended_at": ended_at}
    return row | {"requests": 2, "jobs": 0, "product_version": "0.1.0", "error_kind": None, "detail": None}


def audit_row(tenant: str = "default", run_id: str = RUN) -> dict[str, Any]:
    row = {"run_id": run_id, "tenant": tenant, "window_start": NOW, "window_end": NOW, "complete": True}
    return row | {"started_at": STARTED, "elapsed_seconds": 0.5, "distinct_jobs": 0, "object_type": None}


def test_appended_rows_are_those_that_a_load_would_write(loaded: Warehouse) -> None:
    written = append_rows(loaded.pipeline(), {"load_runs": [run_row()], "load_audit": [audit_row()]})
    assert written
    run = "SELECT tenant, status, detail, started_at, requests FROM load_runs WHERE run_id = '" + RUN + "'"
    assert loaded.rows(run) == [("default", "complete", None, STARTED, 2)]
    audit = "SELECT started_at, complete, elapsed_seconds, object_type FROM load_audit WHERE run_id = '" + RUN + "'"
    assert loaded.rows(audit) == [(STARTED, True, 0.5, None)]


def test_a_load_succeeds_after_an_append(place: Warehouse) -> None:
    world = make_world(30, seed=1, now=NOW)
    with Simulator(world) as simulator:
        place.load(simulator)
        append_rows(place.pipeline(), {"load_runs": [run_row()], "load_audit": [audit_row()]})
        world.advance(timedelta(hours=3))
        place.load(simulator)
    assert place.rows("SELECT count(*) FROM load_runs WHERE status = 'complete'") == [(3,)]


def test_rows_that_are_appended_twice_are_stored_once(loaded: Warehouse) -> None:
    before = loaded.rows("SELECT count(*) FROM load_runs")[0][0]
    for _ in range(2):
        assert append_rows(loaded.pipeline(), {"load_runs": [run_row(), run_row()], "load_audit": [audit_row()]})
    assert loaded.rows("SELECT count(*) FROM load_runs") == [(before + 1,)]
    assert loaded.rows(f"SELECT count(*) FROM load_audit WHERE run_id = '{RUN}'") == [(1,)]


def test_many_tenants_are_written_at_once(loaded: Warehouse) -> None:
    tenants = [f"tenant {number}" for number in range(300)]
    rows = {"load_runs": [run_row(name) for name in tenants], "load_audit": [audit_row(name) for name in tenants]}
    assert append_rows(loaded.pipeline(), rows)
    for table in ("load_runs", "load_audit"):
        count = f"SELECT count(DISTINCT tenant) FROM {table} WHERE run_id = '{RUN}'"
        assert loaded.rows(count) == [(300,)]


def test_a_character_that_a_database_refuses_is_written_as_a_mark(loaded: Warehouse) -> None:
    assert append_rows(loaded.pipeline(), {"load_runs": [run_row() | {"detail": "a\x00b"}]})
    assert loaded.rows(f"SELECT detail FROM load_runs WHERE run_id = '{RUN}'") == [("a\ufffdb",)]


def test_an_append_creates_no_table(place: Warehouse, tmp_path: Path) -> None:
    assert not append_rows(place.pipeline(), {"load_runs": [run_row()]})
    assert not list(tmp_path.glob("*.duckdb"))
    assert not list(tmp_path.glob("lake/**/*.json"))


def test_nothing_is_written_where_one_table_or_column_is_missing(loaded: Warehouse) -> None:
    before = loaded.rows("SELECT count(*) FROM load_runs")
    later = {"reconciliations": [{"run_id": RUN, "tenant": "default", "a_later_column": 1}]}
    assert not append_rows(loaded.pipeline(), {"load_runs": [run_row()], **later})
    assert not append_rows(loaded.pipeline(), {"load_runs": [run_row() | {"a_later_column": 1}]})
    assert loaded.rows("SELECT count(*) FROM load_runs") == before


@pytest.mark.parametrize("loaded", ["duckdb", "postgres"], indirect=True)
def test_the_load_of_appended_rows_is_on_dlts_record(loaded: Warehouse) -> None:
    append_rows(loaded.pipeline(), {"load_runs": [run_row()]})
    result = "SELECT count(*) FROM load_runs r JOIN _dlt_loads l ON l.load_id = r._dlt_load_id WHERE l.status = 0"
    assert loaded.rows(result) == loaded.rows("SELECT count(*) FROM load_runs") == [(2,)]


@pytest.mark.parametrize("loaded", ["filesystem"], indirect=True)
def test_loads_with_nothing_new_do_not_fill_a_lake_with_files(
    loaded: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__LAKE_RETENTION_HOURS", "0")
    pipeline = loaded.pipeline()
    files = []
    for number in range(90):
        run_id = f"{number:032}"
        assert append_rows(pipeline, {"load_runs": [run_row(run_id=run_id)], "load_audit": [audit_row(run_id=run_id)]})
        files.append(sum(file.is_file() for file in (tmp_path / "lake" / "m365_jobs").rglob("*")))
    assert max(files) < files[0] + 120
    assert loaded.rows("SELECT count(*) FROM load_runs WHERE run_id LIKE '000%'") == [(90,)]
