"""Test that the source follows the conventions of dlt sources."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dlt
import duckdb
import pytest
from avepoint_m365 import avepoint_m365
from avepoint_m365.constants import ObjectType
from avepoint_simulator import Simulator, make_world
from dlt.common.typing import TRefreshMode
from dlt.destinations import duckdb as duckdb_destination
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.support.truth import in_warehouse, on_server
from tests.support.worlds import settings

NOW = datetime.now(UTC).replace(microsecond=0)
OWNER, OTHER = "jobs_all_sharepoint_online", "jobs_all_teams"
"""The resource that dlt regards as the owner of the tables, and another one."""

Make = Callable[[], DltSource]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(make_world(200, seed=11, now=NOW)) as running:
        yield running


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Return a function that creates a new source, as each run of a script does."""
    return lambda: avepoint_m365(**settings(simulator))


@pytest.fixture
def truth(simulator: Simulator) -> dict[str, Any]:
    return on_server(simulator.world, False)


def pipeline_in(folder: Path, dev_mode: bool = False) -> dlt.Pipeline:
    return dlt.pipeline(
        "own",
        pipelines_dir=str(folder / "pipelines"),
        destination=duckdb_destination(str(folder / "warehouse.duckdb")),
        dataset_name="m365_jobs",
        dev_mode=dev_mode,
    )


@pytest.fixture(scope="module")
def loaded_folder(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a loaded warehouse and the state of its pipeline, for tests to copy."""
    folder = tmp_path_factory.mktemp("loaded")
    pipeline_in(folder).run(avepoint_m365(**settings(simulator)))
    return folder


@pytest.fixture
def loaded_pipeline(loaded_folder: Path, tmp_path: Path) -> dlt.Pipeline:
    """Return a pipeline that has run once."""
    shutil.copytree(loaded_folder, tmp_path, dirs_exist_ok=True)
    return pipeline_in(tmp_path)


def loaded(folder: Path) -> dict[str, Any]:
    return in_warehouse(folder / "warehouse.duckdb")


def incremental(**values: Any) -> Any:
    return dlt.sources.incremental("finish_time", primary_key=(), on_cursor_value_missing="include", **values)


@pytest.mark.usual(1)
@pytest.mark.parametrize("limit", [1, 3, 5, 7])
def test_a_limited_run_then_two_full_ones_lose_nothing(
    make: Make, truth: dict[str, Any], tmp_path: Path, limit: int
) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.run(make().add_limit(limit))
    pipeline.run(make())
    assert loaded(tmp_path) == truth
    pipeline.run(make())
    assert loaded(tmp_path) == truth
    with pipeline.sql_client() as client:
        assert client.execute_sql("SELECT * FROM job_changes") == []


@pytest.mark.parametrize("limit", [1, 5])
def test_a_limited_run_claims_no_completeness(make: Make, tmp_path: Path, limit: int) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.run(make().add_limit(limit))
    assert "load_audit" not in pipeline.default_schema.data_table_names()


def test_single_resources_load_their_jobs_and_the_others_follow(
    make: Make, truth: dict[str, Any], tmp_path: Path
) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.run(make().with_resources(OTHER))
    assert loaded(tmp_path) == {job: row for job, row in truth.items() if row[1] == "teams"}
    pipeline.run(make())
    assert loaded(tmp_path) == truth


def test_an_initial_value_may_be_text(make: Make, truth: dict[str, Any], tmp_path: Path) -> None:
    source = make()
    for resource in source.resources.values():
        resource.apply_hints(incremental=incremental(initial_value="2020-01-01"))
    pipeline = pipeline_in(tmp_path)
    pipeline.run(source)
    assert loaded(tmp_path) == truth
    pipeline.run(make())
    assert loaded(tmp_path) == truth


@pytest.mark.parametrize(
    "values", [{}, {"primary_key": (), "on_cursor_value_missing": "include"}], ids=["bare", "like ours"]
)
@pytest.mark.usual(1)
def test_an_incremental_without_a_value_loads_from_the_usual_start(
    make: Make, truth: dict[str, Any], tmp_path: Path, values: dict[str, Any]
) -> None:
    pipeline = pipeline_in(tmp_path)
    for _ in range(2):
        source = make()
        for resource in source.resources.values():
            resource.apply_hints(incremental=dlt.sources.incremental("finish_time", **values))
        pipeline.run(source)
        assert loaded(tmp_path) == truth


def test_an_end_value_may_be_text(make: Make, truth: dict[str, Any], tmp_path: Path) -> None:
    days = sorted(datetime.fromtimestamp(row[5], UTC) for row in truth.values() if row[5])
    day = days[len(days) // 2].date()
    source = make()
    for resource in source.resources.values():
        resource.apply_hints(incremental=incremental(initial_value="2020-01-01", end_value=day.isoformat()))
    pipeline_in(tmp_path).run(source)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    assert set(loaded(tmp_path)) == {job for job, row in truth.items() if row[5] and row[5] <= midnight}


@pytest.mark.parametrize("value", ["soon", 20260131])
def test_an_initial_value_that_is_no_time_is_refused(make: Make, tmp_path: Path, value: object) -> None:
    source = make()
    source.resources[OTHER].apply_hints(incremental=incremental(initial_value=value))
    with pytest.raises(
        PipelineStepFailed, match=rf"initial_value.* = {value!r} is not a date or time. Write 2026-01-31"
    ):
        pipeline_in(tmp_path).run(source.with_resources(OTHER))


def first_window(folder: Path, condition: str = "TRUE") -> datetime:
    """Return where the earliest range begins that loads asked for, of the listings that fulfil a condition."""
    query = f"SELECT min(window_start) FROM m365_jobs.load_audit WHERE {condition}"
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        ((start,),) = connection.execute(query).fetchall()
    return cast("datetime", start)


@pytest.mark.parametrize("convert", [date.isoformat, lambda day: day], ids=["text", "date"])
def test_a_first_load_begins_at_a_later_initial_value(
    make: Make, tmp_path: Path, convert: Callable[[date], object]
) -> None:
    day = (NOW - timedelta(days=10)).date()
    source = make()
    for resource in source.resources.values():
        resource.apply_hints(incremental=incremental(initial_value=convert(day)))
    pipeline_in(tmp_path).run(source)
    # A listing that labels jobs begins where the oldest of them started, which may be the day before.
    scans = "object_type IS NULL AND job_type IS NULL"
    assert first_window(tmp_path, scans) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.mark.parametrize("name", [OWNER, OTHER])
@pytest.mark.parametrize("days", [10, 900], ids=["later", "earlier"])
def test_the_earliest_start_of_all_resources_counts(make: Make, tmp_path: Path, name: str, days: int) -> None:
    start = NOW - timedelta(days=days)
    source = make()
    source.resources[name].apply_hints(incremental=incremental(initial_value=start))
    pipeline_in(tmp_path).run(source.with_resources(OWNER, OTHER))
    assert (first_window(tmp_path) == start) == (days == 900)
    assert first_window(tmp_path) < NOW - timedelta(days=700)


@pytest.mark.parametrize("name", [OWNER, OTHER])
def test_resources_with_different_ranges_are_refused(make: Make, tmp_path: Path, name: str) -> None:
    source = make()
    hint = incremental(initial_value=NOW - timedelta(days=4), end_value=NOW - timedelta(days=2))
    source.resources[name].apply_hints(incremental=hint)
    with pytest.raises(PipelineStepFailed, match=r"Different ranges: apply_hints\(incremental=...\) gives jobs_all"):
        pipeline_in(tmp_path).run(source.with_resources(OWNER, OTHER))


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (dlt.sources.incremental("start_time"), r"names 'start_time'\. Name 'finish_time'\."),
        (incremental(initial_value="2026-01-01", lag=3600.0), r"sets lag\. Set lag_hours of the source\."),
    ],
    ids=["column", "lag"],
)
def test_hints_that_the_source_cannot_follow_are_refused(make: Make, tmp_path: Path, hint: Any, message: str) -> None:
    source = make()
    source.resources[OTHER].apply_hints(incremental=hint)
    with pytest.raises(PipelineStepFailed, match=message):
        pipeline_in(tmp_path).run(source)


@pytest.mark.usual(1)
@pytest.mark.parametrize("mode", ["drop_sources", "drop_resources", "drop_data"])
@pytest.mark.parametrize("names", [(), (OWNER,), (OTHER,)], ids=["all", "owner", "other"])
def test_a_refresh_then_a_full_run_lose_nothing(
    make: Make,
    truth: dict[str, Any],
    loaded_pipeline: dlt.Pipeline,
    tmp_path: Path,
    mode: TRefreshMode,
    names: tuple[str, ...],
) -> None:
    pipeline = loaded_pipeline
    source = make().with_resources(*names) if names else make()
    pipeline.run(source, refresh=mode)
    if not names:
        assert loaded(tmp_path) == truth
    pipeline.run(make())
    assert loaded(tmp_path) == truth


def run_dlt(folder: Path, *arguments: str) -> str:
    """Return what dlt's own command prints about a pipeline."""
    command = [str(Path(sys.executable).with_name("dlt")), "-y", "pipeline", *arguments]
    # dlt keeps no credentials in its state; without them it would drop tables in a file of its own.
    environment = os.environ | {
        "DLT_DATA_DIR": str(folder),
        "DESTINATION__DUCKDB__CREDENTIALS": str(folder / "warehouse.duckdb"),
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_rows_that_were_deleted_outside_are_read_again(
    make: Make, truth: dict[str, Any], loaded_pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    with loaded_pipeline.sql_client() as client:
        client.execute_sql("DELETE FROM jobs")
    loaded_pipeline.run(make())
    assert loaded(tmp_path) == truth


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("what", [OWNER, "--drop-all"])
def test_tables_that_dlts_command_dropped_are_read_again(
    make: Make, truth: dict[str, Any], loaded_pipeline: dlt.Pipeline, tmp_path: Path, what: str, reopened: bool
) -> None:
    run_dlt(tmp_path, "own", "drop", what)
    with pytest.raises(duckdb.CatalogException):
        loaded(tmp_path)
    pipeline = pipeline_in(tmp_path) if reopened else loaded_pipeline
    pipeline.run(make())
    assert loaded(tmp_path) == truth


def times(pipeline: dlt.Pipeline, prefix: str = "") -> tuple[int, int, int]:
    """Return the number of rows of jobs, of their first and of their newest times of reading."""
    query = f"SELECT count(*), count(DISTINCT first_seen_at), count(DISTINCT fetched_at) FROM {prefix}jobs"
    with pipeline.sql_client() as client:
        ((rows, first, newest),) = client.execute_sql(query) or []
    return rows, first, newest


def test_known_jobs_are_recognised_in_a_dataset_for_each_schema(
    make: Make, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_SINGLE_DATASET", "false")
    pipeline = pipeline_in(tmp_path)
    pipeline.run([{"id": 1}], table_name="other", schema=dlt.Schema("first"))
    for _ in range(2):
        pipeline.run(make())
    assert times(pipeline, "m365_jobs_avepoint_m365.") == (len(simulator.world.visible()), 1, 1)


def test_plain_files_get_unchanged_jobs_once(make: Make, simulator: Simulator, tmp_path: Path) -> None:
    files = dlt.destinations.filesystem(str(tmp_path / "files"))
    pipeline = dlt.pipeline("files", pipelines_dir=str(tmp_path), destination=files, dataset_name="backups")
    for _ in range(2):
        pipeline.run(make(), loader_file_format="parquet")
    assert times(pipeline) == (len(simulator.world.visible()), 1, 1)


def test_dev_mode_fills_a_new_dataset_each_time(make: Make, simulator: Simulator, tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        pipeline = pipeline_in(tmp_path, dev_mode=True)
        pipeline.run(make())
        names.append(pipeline.dataset_name)
        with pipeline.sql_client() as client:
            rows = client.execute_sql("SELECT id FROM jobs") or []
        assert {row[0] for row in rows} == {job.id for job in simulator.world.visible()}
    assert len(names) == 2
    assert all(name.startswith("m365_jobs_") for name in names)


def test_the_disposition_of_a_resource_is_that_of_its_tables(make: Make, tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    source = make()
    pipeline.run(source)
    assert {resource.write_disposition for resource in source.resources.values()} == {"merge"}
    tables = pipeline.default_schema.data_tables()
    names = ("jobs", "jobs__backup_details", "jobs__job_errors", "job_changes", "state_words", "load_audit")
    assert {table["name"]: table["write_disposition"] for table in tables} == dict.fromkeys(
        (*names, "reconciliations"), "merge"
    )


@pytest.mark.parametrize("disposition", ["append", "replace"])
@pytest.mark.usual(1)
def test_tables_are_merged_despite_hints_of_a_resource(
    make: Make, truth: dict[str, Any], tmp_path: Path, disposition: Any
) -> None:
    pipeline = pipeline_in(tmp_path)
    for _ in range(2):
        source = make()
        for resource in source.resources.values():
            resource.apply_hints(write_disposition=disposition, table_name="mine")
        pipeline.run(source)
        assert loaded(tmp_path) == truth
    assert "mine" not in pipeline.default_schema.data_table_names()


@pytest.mark.usefixtures("loaded_pipeline")
def test_dlts_info_shows_every_resource(tmp_path: Path) -> None:
    shown = run_dlt(tmp_path, "-v", "own", "info")
    assert [name for name in ObjectType.__members__ if f'"jobs_all_{name}"' not in shown] == []
