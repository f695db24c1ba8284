"""Simulate a user's machine: an empty directory, an empty home, and a simulated tenant in the environment."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_simulator import Simulator, World, make_world

from tests.support import in_process
from tests.support.tenant import START, Tenant

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=9)


@dataclass
class Cli:
    """Run the command as a user does, and query the warehouse."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, in this process if possible, and check its exit code, unless ``code`` is None."""
        if not in_process.possible(self.environment):
            return self.run_process(*arguments, code=code)
        return _checked(in_process.run(self.folder, self.environment, arguments), code)

    def run_process(self, *arguments: str, code: int | None = 0, piped: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in its own process, as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", "m365_jobs", *arguments],
            cwd=self.folder,
            env=self.environment,
            # The command must not read from the terminal of the tests.
            input=piped,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return _checked(done, code)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "m365_warehouse.duckdb"), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE m365_jobs")
            return connection.execute(sql).fetchall()

    def set(self, **settings: str) -> None:
        for key, value in settings.items():
            self.environment[f"SOURCES__AVEPOINT_M365__{key.upper()}"] = value


NewUser = Callable[[Simulator], Cli]
"""Makes a user whose environment configures a simulator only."""


def _checked(done: subprocess.CompletedProcess[str], code: int | None) -> subprocess.CompletedProcess[str]:
    assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(make_world(120, seed=7, now=NOW)) as running:
        yield running


def make_user(place: Path, simulator: Simulator) -> Cli:
    """Return a command line in a folder, whose environment configures only the simulator."""
    remaining = ("PATH", "SYSTEMROOT", "LANG", "TEMP", "TMP")
    environment = {name: os.environ[name] for name in remaining if name in os.environ}
    home, folder = place / "home", place / "work"
    home.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    # dlt stores its state in the home, except for root, whose state is shared; DLT_DATA_DIR separates the tests.
    places = {"HOME": str(home), "USERPROFILE": str(home), "DLT_DATA_DIR": str(home / ".dlt")}
    first = Cli(folder, environment | places)
    first.set(
        base_url=simulator.base_url,
        token_url=simulator.token_url,
        include="none",
        credentials__client_id=simulator.client_id,
        credentials__client_secret=simulator.client_secret,
    )
    return first


@pytest.fixture
def new_user(tmp_path: Path) -> NewUser:
    return lambda simulator: make_user(tmp_path, simulator)


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    world = World(START)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setattr(avepoint_m365, "_now", lambda: world.now)
    with Simulator(world) as simulator:
        yield Tenant(tmp_path, world, simulator)
