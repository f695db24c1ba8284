"""Test that the pipelines in docs/how-to/own-pipeline.md work unchanged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from avepoint_m365 import avepoint_m365
from avepoint_m365.companions.source import companions_source
from avepoint_m365.constants import ObjectType
from avepoint_m365.exceptions import ConfigurationError
from avepoint_simulator import Simulator, make_world
from deltalake import DeltaTable
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from m365_jobs.warehouse.contract import prepare

from tests.integration.test_end_to_end import NOW
from tests.support.snippets import in_language
from tests.support.worlds import settings

DATABASE, LAKE = (entry.text for entry in in_language("python") if entry.path.name == "own-pipeline.md")


def run_as_file(code: str, file: Path, simulator: Simulator, *arguments: str) -> str:
    """Return the output of a script with this code; ``arguments`` replace its path in Python's arguments."""
    settings = {
        "BASE_URL": simulator.base_url,
        "TOKEN_URL": simulator.token_url,
        "CREDENTIALS__CLIENT_ID": simulator.client_id,
        "CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
    }
    environment = {f"SOURCES__AVEPOINT_M365__{key}": value for key, value in settings.items()}
    environment |= {"DLT_DATA_DIR": str(file.parent / "dlt"), "HOME": str(file.parent), "PYTHONPATH": str(file.parent)}
    file.write_text(code, encoding="utf-8")
    command = [sys.executable, *(arguments or (str(file),))]
    done = subprocess.run(command, cwd=file.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usual(1)
@pytest.mark.parametrize("name", ["backup-loader.py", "avepoint_m365_jobs.py", "pipeline.py"])
def test_the_pipeline_works_as_shown_in_a_file_of_any_name(tmp_path: Path, name: str) -> None:
    world = make_world(200, seed=11, now=NOW)
    with Simulator(world) as simulator:
        shown = run_as_file(DATABASE, tmp_path / name, simulator)
    truth: dict[str, int] = {}
    for job in world.visible():
        if job.object_type in (ObjectType.exchange_online, ObjectType.teams):
            key = f"{ObjectType(job.object_type).name} {job.state(world.now)}"
            truth[key] = truth.get(key, 0) + 1
    assert dict(line.rsplit(" ", 1) for line in shown.splitlines()) == {key: str(count) for key, count in truth.items()}


@pytest.mark.variant
def test_a_lake_holds_each_job_once_as_shown(tmp_path: Path) -> None:
    with Simulator(make_world(100, seed=11, now=NOW)) as simulator:
        for _ in range(2):
            run_as_file(LAKE, tmp_path / "lake_loader.py", simulator)
        wanted = sorted(job.id for job in simulator.world.visible())
    loaded = DeltaTable(tmp_path / "lake" / "backups" / "jobs").to_pyarrow_table()
    assert sorted(loaded["id"].to_pylist()) == wanted


@pytest.mark.parametrize("code", [DATABASE, LAKE], ids=["database", "lake"])
def test_an_import_of_the_file_loads_nothing(tmp_path: Path, code: str) -> None:
    with Simulator(make_world(10, seed=11, now=NOW)) as simulator:
        run_as_file(code, tmp_path / "loader.py", simulator, "-c", "import loader")
        assert simulator.asked == []


@pytest.mark.parametrize("destination", ["duckdb", "filesystem"])
def test_a_pipeline_of_the_user_merges_despite_run_arguments_and_accepts_added_columns(
    destination: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(tmp_path / "lake"))

    def with_team(item: Any) -> Any:
        return item.append_column("team", pa.array(["ours"] * len(item))) if "state" in item.schema.names else item

    pipeline = dlt.pipeline("own", pipelines_dir=str(tmp_path), destination=destination, dataset_name="backups")
    with Simulator(make_world(60, seed=11, now=NOW)) as simulator:
        for _ in range(2):
            source = avepoint_m365(**settings(simulator))
            if destination == "filesystem":
                source = prepare(source, pipeline)
            for resource in source.resources.values():
                resource.add_map(with_team)
            messages: Any = {} if destination == "filesystem" else {"write_disposition": "replace"}
            pipeline.run(source, loader_file_format="parquet", **messages)
        wanted = [(job.id, "ours") for job in simulator.world.visible()]
    if destination == "filesystem":
        loaded = DeltaTable(tmp_path / "lake" / "backups" / "jobs").to_pyarrow_table().to_pylist()
        results = [(row["id"], row["team"]) for row in loaded]
    else:
        with pipeline.sql_client() as client:
            results = [tuple(row) for row in client.execute_sql("SELECT id, team FROM jobs") or []]
    assert sorted(results) == sorted(wanted)


def test_rows_can_be_read_without_a_pipeline() -> None:
    # That of an earlier test would be the current one.
    Container()[PipelineContext].deactivate()
    world = make_world(200, seed=11, now=NOW)
    with Simulator(world) as simulator:
        source = avepoint_m365(**settings(simulator, object_types=["teams"]))
        jobs = [table for table in source if "finish_time" in table.column_names and "id" in table.column_names]
    ids = {id_ for table in jobs for id_ in table["id"].to_pylist()}
    assert ids == {job.id for job in world.visible() if job.object_type == ObjectType.teams}


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.usual(1)
def test_the_log_of_companions_has_those_that_are_read_and_waits_for_no_others(tmp_path: Path, threads: bool) -> None:
    database = dlt.destinations.duckdb(str(tmp_path / "w.duckdb"))
    with Simulator(make_world(20, seed=11, now=NOW)) as simulator:
        pipeline = dlt.pipeline("selected", destination=database, dataset_name="own", pipelines_dir=str(tmp_path))
        source = companions_source(**settings(simulator, include="auto")).with_resources(
            "retention_policies", "companion_loads"
        )
        if threads:
            source.retention_policies.parallelize()
        pipeline.run(source)
    with pipeline.sql_client() as client:
        assert client.execute_sql("SELECT companion FROM companion_loads") == [("retention",)]


@pytest.mark.parametrize(("key", "text"), [("locations", "NAM"), ("object_types", "teams")])
def test_a_text_in_place_of_a_list_is_named_as_a_whole(key: str, text: str) -> None:
    message = rf"{key} = '{text}' is not a list\. Write \['{text}'\]"
    with Simulator(make_world(2, seed=11, now=NOW)) as simulator, pytest.raises(ConfigurationError, match=message):
        avepoint_m365(**settings(simulator, **{key: text}))
