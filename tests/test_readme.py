"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from avepoint_m365.settings import BASE_URLS, ObjectType
from avepoint_simulator import Simulator, make_world

from .test_end_to_end import NOW

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_pipeline_of_someone_else_works_as_shown(tmp_path: Path) -> None:
    found = re.search(r"<!-- test: own pipeline -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    assert len(found[1].strip().splitlines()) <= 10
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


def test_the_configuration_table_names_every_data_center_and_object_type() -> None:
    for name in [*BASE_URLS, *(one.name for one in ObjectType)]:
        assert name in README
