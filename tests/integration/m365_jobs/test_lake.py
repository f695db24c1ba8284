"""Test a lake: Delta and Iceberg tables in files, with the same rows and keys as any other warehouse."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import dlt
import duckdb
import pyarrow as pa
import pytest
from avepoint_m365.schema import STATE_WORDS
from avepoint_simulator import Simulator, World, make_world
from deltalake import DeltaTable
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.destinations.impl.filesystem.filesystem import DeltaLoadFilesystemJob
from dlt.pipeline.exceptions import PipelineStepFailed
from m365_jobs.warehouse.contract import prepare
from m365_jobs.warehouse.destinations import delta_files
from m365_jobs.warehouse.destinations.cut_files import remove_cut_files

from tests.support.cli import NOW, NewUser
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.destinations


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    return Warehouse("filesystem")


def lose_errors(world: World) -> None:
    """Remove all errors from some recent jobs, and all but the first error from others."""
    recent = world.now - timedelta(hours=18)
    ended = [item for item in world.visible() if item.errors and item.finish and recent < item.finish < world.now]
    assert len(ended) >= 2
    for job in ended[::2]:
        world.change(job.id, errors=())
    for job in ended[1::2]:
        world.change(job.id, errors=job.errors[:1])


WITHOUT_DELTA = "import sys; sys.modules['deltalake'] = None; from m365_jobs.cli.app import main; main()"


def test_a_missing_lake_extra_is_reported_before_any_request(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    variables = user.environment | {"DESTINATION_TYPE": "filesystem", "DESTINATION__FILESYSTEM__BUCKET_URL": "lake"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DELTA, "load"],
        cwd=user.folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith("is not installed. Run: pip install 'avepoint-m365-jobs[lake]'\n")
    assert simulator.asked == []


@pytest.mark.parametrize("table_format", ["delta", "iceberg"])
def test_a_lake_holds_what_the_server_holds_load_after_load(
    lake: Warehouse, monkeypatch: pytest.MonkeyPatch, table_format: str
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__TABLE_FORMAT", table_format)
    world = make_world(900, seed=31, now=NOW, days=10)
    with Simulator(world) as simulator:
        for _ in range(3):
            lake.load(simulator)
            assert lake.contents() == on_server(world, False)
            lose_errors(world)
            world.advance(timedelta(hours=3))
    assert lake.rows("SELECT count(*) FROM load_runs WHERE status = 'complete'") == [(3,)]


def test_other_programs_can_filter_texts_after_merges(lake: Warehouse) -> None:
    world = make_world(200, seed=31, now=NOW, days=3)
    with Simulator(world) as simulator:
        for _ in range(2):
            lake.load(simulator)
            lose_errors(world)
            world.advance(timedelta(hours=3))
    for name in ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs"):
        table = DeltaTable(f"lake/m365_jobs/{name}")
        column = "run_id" if name.startswith("load") else "id" if name == "jobs" else "job_id"
        wanted = table.to_pyarrow_table(columns=[column])[column][0].as_py()
        assert table.to_pyarrow_table(filters=[(column, "=", wanted)]).num_rows >= 1
        rows = table.to_pyarrow_dataset()  # DuckDB finds this variable by its name
        assert duckdb.execute(f"SELECT count(*) FROM rows WHERE {column} = '{wanted}'").fetchall()[0][0] >= 1, rows


def test_a_job_that_two_partitions_return_does_not_stop_a_lake(lake: Warehouse) -> None:
    world = make_world(60, seed=5, now=NOW, locations=("NAM",))
    world.primary_location = "NAM"
    with Simulator(world) as simulator:
        for _ in range(2):
            lake.load(simulator, locations=["PrimaryGeoLocation", "NAM"])
            assert lake.contents() == on_server(world, True)


def test_a_load_that_failed_right_after_it_stored_a_file_is_finished_by_the_next(
    lake: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, run = make_world(40, seed=1, now=NOW), DeltaLoadFilesystemJob.run

    def run_and_fail(job: DeltaLoadFilesystemJob) -> None:
        run(job)
        if job.load_table_name == "load_runs":
            raise DestinationTerminalException("the load ends here")

    with Simulator(world) as simulator:
        with monkeypatch.context() as once:
            once.setattr(DeltaLoadFilesystemJob, "run", run_and_fail)
            with pytest.raises(PipelineStepFailed, match="the load ends here"):
                lake.load(simulator)
        lake.load(simulator)
    assert "An earlier load was interrupted; finishing what it had read." in lake.messages
    assert lake.contents() == on_server(world, False)
    assert lake.rows("SELECT run_id FROM load_runs GROUP BY run_id HAVING count(*) > 1") == []


def test_each_tenant_has_its_own_files_and_jobs_may_share_ids(lake: Warehouse, tmp_path: Path) -> None:
    ours, theirs = make_world(40, seed=1, now=NOW), make_world(40, seed=1, now=NOW)
    for job in theirs.visible():
        theirs.change(job.id, errors=())
    with Simulator(ours) as simulator:
        lake.load(simulator)
    before = lake.contents()
    with Simulator(theirs) as simulator:
        lake.load(simulator, tenant="con/toso")
    sizes = dict(lake.rows("SELECT tenant, count(*) FROM jobs GROUP BY tenant"))
    assert sizes == {"default": len(before), "con/toso": len(theirs.visible())}
    errors = lake.rows("SELECT tenant, count(*) FROM jobs__job_errors GROUP BY tenant")
    assert errors == [("default", sum(len(job[-1]) for job in before.values()))]
    table = DeltaTable(str(tmp_path / "lake" / "m365_jobs" / "jobs"))
    assert sorted(partition["tenant"] for partition in table.partitions()) == ["con/toso", "default"]


def test_small_files_are_compacted_above_a_number(lake: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_files, "FILES_PER_TENANT", 3)
    world = make_world(40, seed=2, now=NOW)
    table = Path("lake") / "m365_jobs" / "load_audit"
    counts = []
    with Simulator(world) as simulator:
        for _ in range(6):
            lake.load(simulator)
            counts.append(len(DeltaTable(str(table)).file_uris()))
    assert max(counts) <= 4
    assert lake.rows("SELECT count(DISTINCT run_id) FROM load_audit") == [(6,)]
    assert lake.contents() == on_server(world, False)


@pytest.mark.parametrize("table_format", ["delta", "iceberg"])
def test_a_lake_is_read_from_the_command_line(simulator: Simulator, new_user: NewUser, table_format: str) -> None:
    """Test readers that have no pipeline: what they know of the lake is its address."""
    user = new_user(simulator)
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "lake"
    user.environment["DESTINATION__FILESYSTEM__TABLE_FORMAT"] = table_format
    to = ("--destination", "filesystem")
    assert "Nothing is loaded yet" in user.run("status", *to).stdout
    user.run("load", *to)
    loaded = json.loads(user.run("status", "--format", "json", *to).stdout)
    assert loaded["tables"]["jobs"] == len(simulator.world.visible())
    assert {partition["complete"] for partition in loaded["partitions"]} == {True}
    ids = json.loads(user.run("query", "SELECT id FROM job_facts ORDER BY id", "--format", "json", *to).stdout)
    assert [row["id"] for row in ids] == sorted(job.id for job in simulator.world.visible())
    health = json.loads(user.run("health", "--format", "json", "--max-age-hours", "24", *to, code=None).stdout)
    assert health["completeness"]["proved"] is True
    assert health["protection"]
    assert "ok    destination: filesystem" in user.run("check", *to).stdout
    user.environment["DESTINATION__FILESYSTEM__TABLE_FORMAT"] = "hudi"
    assert "table_format = 'hudi' is not known. Known are: delta, iceberg" in user.run("load", *to, code=2).stderr


@pytest.mark.parametrize("table_format", ["delta", "iceberg"])
def test_a_table_without_tenants_is_written_and_tidied_like_the_others(
    lake: Warehouse, monkeypatch: pytest.MonkeyPatch, table_format: str
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__TABLE_FORMAT", table_format)
    with Simulator(make_world(30, seed=35, now=NOW, days=5)) as simulator:
        lake.load(simulator, object_types=["teams"])
        words = [{"word": word, "state": code, "learned_at": NOW} for word, code in (("Fertig", 2), ("Defekt", 3))]
        rows = pa.Table.from_pylist(words, STATE_WORDS.arrow)
        item = dlt.mark.with_hints(rows, STATE_WORDS.resource_hints, create_table_variant=True)
        pipeline = lake.pipeline()
        pipeline.run(prepare(dlt.resource([item], name="words"), pipeline)).raise_on_failed_jobs()
        lake.load(simulator, object_types=["teams"])
    assert lake.rows("SELECT word, state FROM state_words ORDER BY state") == [("Fertig", 2), ("Defekt", 3)]
    runs = lake.rows("SELECT status, count(*) FROM load_runs JOIN load_audit USING (run_id) GROUP BY run_id, status")
    assert [status for status, _ in runs] == ["complete"] * 2
    assert not [line for line in lake.messages if "could not" in line]


CUT_OFF = '{"version": {"a": 1}'
STATE_FILES, SCHEMA_FILES = "_dlt_pipeline_state/m365_jobs__*.jsonl", "_dlt_version/avepoint_m365__*.jsonl"
ICEBERG_FILES = "jobs/metadata/*.metadata.json"


@pytest.mark.usual(2)
@pytest.mark.parametrize(
    ("table_format", "files", "content"),
    [
        pytest.param("delta", STATE_FILES, CUT_OFF, id="state-cut off"),
        pytest.param("delta", SCHEMA_FILES, "", id="schema-empty"),
        pytest.param("delta", STATE_FILES, "", id="state-empty"),
        pytest.param("delta", SCHEMA_FILES, CUT_OFF, id="schema-cut off"),
        pytest.param("iceberg", ICEBERG_FILES, CUT_OFF, id="iceberg-cut off"),
        pytest.param("iceberg", ICEBERG_FILES, "", id="iceberg-empty"),
    ],
)
def test_a_file_that_a_killed_load_left_cut_off_does_not_stop_later_loads(
    lake: Warehouse, monkeypatch: pytest.MonkeyPatch, table_format: str, files: str, content: str
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__TABLE_FORMAT", table_format)
    world = make_world(40, seed=1, now=NOW)
    with Simulator(world) as simulator:
        lake.load(simulator)
        newest = max(Path("lake/m365_jobs").glob(files))
        name = f"99999-{newest.name}" if table_format == "iceberg" else newest.name
        cut = newest.with_name(name)
        cut.write_text(content, encoding="utf-8")
        an_hour_ago = time.time() - 3600
        os.utime(cut, (an_hour_ago, an_hour_ago))
        lake.load(simulator)
        assert "which an interrupted load had left cut off" in lake.messages[0]
        assert lake.contents() == on_server(world, False)
        lake.load(simulator)
    assert lake.rows("SELECT count(*) FROM load_runs WHERE status = 'complete'") == [(3,)]


def test_the_newest_files_of_a_lake_stay_if_another_load_may_be_writing_them(lake: Warehouse) -> None:
    with Simulator(make_world(10, seed=1, now=NOW)) as simulator:
        lake.load(simulator)
    cut = max(Path("lake/m365_jobs").glob("_dlt_version/avepoint_m365__*.jsonl"))
    cut.write_text("", encoding="utf-8")
    client = lake.pipeline().destination_client()
    assert remove_cut_files(client, "m365_jobs", min_age=30) == []
    assert [file.name for file in remove_cut_files(client, "m365_jobs", min_age=0)] == [cut.name]
