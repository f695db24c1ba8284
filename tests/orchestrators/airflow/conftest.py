"""Provide a real Airflow 3 in its own environment; ``make test-airflow`` runs these tests."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Simulator

from tests.support.project import ROOT

if find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]

DOCS = ROOT / "docs" / "orchestrators.md"


class Airflow:
    """Control an Airflow with its own home, metadata database and DAGs through its command line."""

    def __init__(self, home: Path) -> None:
        self.home, self.dags = home, home / "dags"
        (self.dags / ".dlt").mkdir(parents=True)
        remaining = {name: os.environ[name] for name in ("PATH", "LANG", "TEMP", "TMP") if name in os.environ}
        self.environment = remaining | {
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
            # A busy machine must not make an import or a task time out.
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "600",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
            # SQLite gives up a locked database after five seconds, and several processes of Airflow write it.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=120",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of these tests, and long enough for a signature with SHA-512 to be made",
            # Only the tests start runs.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "false",
            "SOURCES__AVEPOINT_M365__INCLUDE": "none",
            "DLT_PROJECT_DIR": str(self.dags),
            "DLT_DATA_DIR": str(home / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DESTINATION__WAREHOUSE__DESTINATION_TYPE": "duckdb",
            "PROVIDERS__AIRFLOW_SECRETS__ONLY_TOML_FRAGMENTS": "true",
        }

    def configure(self, *sections: str) -> None:
        """Write the configuration of tenants, and replace the previous one."""
        (self.dags / ".dlt" / "secrets.toml").write_text("\n".join(sections))

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, check that it ends with ``code``, and return its output."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, code: str) -> str:
        """Run Python code in the environment of the DAGs, check that it succeeds, and return its output."""
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=self.dags, env=self.environment, capture_output=True, text=True, timeout=600, check=True
        ).stdout

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in the metadata database."""
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Run the scheduler with the LocalExecutor, and the API server that its tasks report to."""
        url = f"http://127.0.0.1:{port}"
        more = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/", "AIRFLOW__API__PORT": str(port)}
        command, log = [sys.executable, "-m", "airflow"], self.home / "services.log"
        started = []

        def start(*arguments: str) -> None:
            with log.open("ab") as file:
                options: Any = {"cwd": self.home, "env": self.environment | more, "stdout": file, "stderr": file}
                started.append(subprocess.Popen([*command, *arguments], **options))

        try:
            start("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
            give_up = time.monotonic() + 300
            while not listens(port):
                assert started[0].poll() is None, "the API server ended"
                assert time.monotonic() < give_up, "the API server did not come up"
                time.sleep(0.2)
            start("scheduler")
            yield
        except BaseException:
            print(log.read_text(errors="replace")[-20_000:])
            raise
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(timeout=120)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    airflow = Airflow(tmp_path_factory.mktemp("airflow"))
    for number, example in enumerate(examples()):
        (airflow.dags / f"example_{number}.py").write_text(example)
    for name, arguments in {
        "split": 'split="locations"',
        "rounds": 'destination="postgres", min_age=timedelta(minutes=10), '
        'task_arguments={"retries": 1, "retry_delay": timedelta()}',
    }.items():
        text = examples()[0].replace('"m365_jobs"', f'"{name}", {arguments}')
        (airflow.dags / f"{name}.py").write_text(
            text.replace("import UTC, datetime", "import UTC, datetime, timedelta")
        )
    airflow.run("db", "migrate")
    airflow.run("dags", "reserialize")
    return airflow


def examples() -> list[str]:
    """Return the DAG files of the documentation."""
    text = DOCS.read_text(encoding="utf-8").split("## Airflow", 1)[1].split("\n## ")[0]
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def section(name: str, simulator: Simulator, *lines: str) -> str:
    """Return the configuration of a tenant."""
    table = f"sources.avepoint_m365.tenants.{name}"
    urls = [f'base_url = "{simulator.base_url}"', f'token_url = "{simulator.token_url}"']
    secrets = [f'client_id = "{simulator.client_id}"', f'client_secret = "{simulator.client_secret}"']
    return "\n".join([f"[{table}]", *urls, *lines, f"[{table}.credentials]", *secrets, ""])
