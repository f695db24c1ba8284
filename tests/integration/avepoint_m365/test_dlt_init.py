"""Test that `dlt init` copies the source from this repository, as it does from dlt's verified sources."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from avepoint_simulator import Simulator, make_world

from tests.support.project import ROOT, dependencies, extras
from tests.support.truth import in_warehouse, on_server

SOURCE = ROOT / "sources" / "avepoint_m365"

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.com")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with the present sources of this one."""
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "sources", repository / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Sources")):
        subprocess.run([*GIT, *arguments], cwd=repository, check=True)
    return repository


def test_dlt_init_copies_a_source_that_loads(repository: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DLT_DATA_DIR": str(tmp_path / "dlt")}
    environment["RUNTIME__DLTHUB_TELEMETRY"] = "false"

    def run(*command: str) -> str:
        # Python looks for modules in the folder of the script first, so the script imports the copy.
        command = (sys.executable, *command)
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "dlt", "--non-interactive", "init", "avepoint_m365", "duckdb", "--location", str(repository))
    left = {path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")}
    assert {path.relative_to(project / "avepoint_m365") for path in (project / "avepoint_m365").rglob("*.py")} == left
    secrets = tomllib.loads((project / ".dlt" / "secrets.toml").read_text())
    assert list(secrets["sources"]["avepoint_m365"]["credentials"]) == ["client_id", "client_secret"]
    required = (project / "requirements.txt").read_text().splitlines()
    assert "dlt[duckdb]<2,>=1.31" in required

    with Simulator(make_world(100, seed=11)) as simulator:
        prefix = "SOURCES__AVEPOINT_M365__"
        environment |= {
            f"{prefix}BASE_URL": simulator.base_url,
            f"{prefix}TOKEN_URL": simulator.token_url,
            f"{prefix}CREDENTIALS__CLIENT_ID": simulator.client_id,
            f"{prefix}CREDENTIALS__CLIENT_SECRET": simulator.client_secret,
        }
        assert "contains no failed jobs" in run("avepoint_m365_pipeline.py")
        imported = run("-c", "import avepoint_m365; print(avepoint_m365.__file__)").strip()
        assert Path(imported) == project / "avepoint_m365" / "__init__.py"
        loaded = in_warehouse(project / "avepoint_m365.duckdb", dataset="avepoint_m365_data")
        assert loaded == on_server(simulator.world, False)


def test_the_source_requires_what_the_project_does() -> None:
    required = set((SOURCE / "requirements.txt").read_text().split("\n")) - {""}
    assert required <= {*dependencies(), *extras()["certificate"]}
    assert set(extras()["certificate"]) <= required
