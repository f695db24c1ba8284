"""docs/how-to/own-pipeline.md: its pipelines work as they stand there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from avepoint_m365 import avepoint_m365
from avepoint_m365.settings import ObjectType
from avepoint_simulator import Simulator, make_world
from deltalake import DeltaTable
from m365_jobs.warehouse.contract import prepare

from tests.integration.test_end_to_end import NOW
from tests.support.project import ROOT
from tests.support.worlds import settings

OWN_PIPELINE = (ROOT / "docs" / "how-to" / "own-pipeline.md").read_text(encoding="utf-8")


def test_the_pipeline_of_someone_else_works_as_shown(tmp_path: Path) -> None:
    found = re.search(r"<!-- test: own pipeline -->\n```python\n(.*?)```", OWN_PIPELINE, re.DOTALL)
    assert found is not None
    world = make_world(200, seed=11, now=NOW)
    with Simulator(world) as simulator:
        settings = {
            "BASE_URL": simulator.base_url,
            "TOKEN_URL": simulator.token_url,
            "CREDENTIALS__CLIENT_ID": simulator.client_id,
            "CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
        }
        environment = {f"SOURCES__AVEPOINT_M365__{key}": value for key, value in settings.items()}
        environment |= {"DLT_DATA_DIR": str(tmp_path / "dlt"), "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", found[1]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    truth: dict[str, int] = {}
    for job in world.visible():
        if job.object_type in (ObjectType.exchange_online, ObjectType.teams):
            key = f"{ObjectType(job.object_type).name} {job.state(world.now)}"
            truth[key] = truth.get(key, 0) + 1
    assert dict(line.rsplit(" ", 1) for line in done.stdout.splitlines()) == {
        key: str(count) for key, count in truth.items()
    }


@pytest.mark.parametrize("destination", ["duckdb", "filesystem"])
def test_a_pipeline_of_ones_own_merges_whatever_run_is_told_and_takes_columns_of_ones_own(
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
            told: Any = {} if destination == "filesystem" else {"write_disposition": "replace"}
            pipeline.run(source, loader_file_format="parquet", **told)
        wanted = [(job.id, "ours") for job in simulator.world.visible()]
    if destination == "filesystem":
        held = DeltaTable(tmp_path / "lake" / "backups" / "jobs").to_pyarrow_table().to_pylist()
        found = [(row["id"], row["team"]) for row in held]
    else:
        with pipeline.sql_client() as client:
            found = [tuple(row) for row in client.execute_sql("SELECT id, team FROM jobs") or []]
    assert sorted(found) == sorted(wanted)
