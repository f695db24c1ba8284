"""Load into destinations in this process, and read their rows in the form of ``tests.support.truth``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

import dlt
import psycopg2
import pytest
from avepoint_m365 import Progress
from avepoint_simulator import Simulator
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import open_reader

SERVER = os.environ.get("M365_TEST_POSTGRES", "postgresql://postgres:any@127.0.0.1:5432")


class GivenSettings(TypedDict, total=False):
    """Define the settings of the source that a test passes to all its loads."""

    object_types: list[str]
    start_date: str


@dataclass
class Warehouse:
    """Control a destination, named as for ``--destination``; the environment configures it."""

    destination: str
    messages: list[str] = field(default_factory=list)

    def load(
        self, simulator: Simulator, since: datetime | None = None, until: datetime | None = None, **settings: Any
    ) -> Summary:
        source = {
            "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
            "base_url": simulator.base_url,
            "token_url": simulator.token_url,
            "include": "none",
            **settings,
        }
        self.messages.clear()
        return load(
            LoadOptions(since, until, destination=self.destination, source=source), Progress(), self.messages.append
        )

    def pipeline(self, tenant: str = "default") -> dlt.Pipeline:
        return warehouse.open_pipeline(tenant, self.destination)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with open_reader(self.pipeline()) as reader:
            return [tuple(row.values()) for row in reader.rows(sql)]

    def contents(self, tenant: str = "default") -> dict[str, Any]:
        """Return the rows of each job in the three tables, by job id."""
        jobs = self.rows(
            "SELECT id, location, object_type, job_type, state, start_time, finish_time, total_number, "
            "failed_number, successful_number, skipped_number FROM jobs "
            "JOIN jobs__backup_details d ON d.tenant = jobs.tenant AND d.job_id = jobs.id "
            f"WHERE jobs.tenant = '{tenant}'"
        )
        errors: dict[str, list[Any]] = {}
        for job_id, *error in self.rows(
            "SELECT job_id, value, is_error_code, url, number FROM jobs__job_errors "
            f"WHERE tenant = '{tenant}' ORDER BY job_id, error_index"
        ):
            errors.setdefault(job_id, []).append(tuple(error))
        assert len({row[0] for row in jobs}) == len(jobs), "a job has two rows"
        assert errors.keys() <= {row[0] for row in jobs}, "errors of no job"
        return {
            row[0]: (
                *row[1:5],
                row[5].timestamp(),
                row[6] and row[6].timestamp(),
                *row[7:],
                tuple(errors.get(row[0], ())),
            )
            for row in jobs
        }


def require_postgres() -> None:
    """Check that a server answers; without it, skip the test, or fail it with ``M365_TEST_POSTGRES_REQUIRED``."""
    try:
        psycopg2.connect(f"{SERVER}/postgres", connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        word = f"PostgreSQL does not answer at {SERVER.rpartition('@')[2]}, and these tests need it: {error}"
        if os.environ.get("M365_TEST_POSTGRES_REQUIRED"):
            pytest.fail(word)
        pytest.skip(word)


@contextmanager
def database(made: str = "") -> Iterator[str]:
    """Create a PostgreSQL database, yield its address, and drop it; ``made``: options of ``CREATE DATABASE``."""
    require_postgres()
    name = f"m365_{uuid4().hex[:12]}"
    administer(f"CREATE DATABASE {name} {made}")
    try:
        yield f"{SERVER}/{name}"
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def database_for(destination: str) -> Iterator[str]:
    """Yield the address of a new PostgreSQL database; of none, without a server, for another destination."""
    with database() if destination == "postgres" else nullcontext("postgresql://not-used.invalid/none") as address:
        yield address


@contextmanager
def database_as_warehouse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Create a PostgreSQL database as warehouse of this process, which works in ``folder``; yield its address."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
    with database() as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield address


@contextmanager
def empty_warehouse(destination: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Yield an empty duckdb, postgres or filesystem as warehouse of this process, which works in ``folder``."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    with database_for(destination) as address:
        if destination == "postgres":
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield Warehouse(destination)


def administer(*statements: str, address: str = f"{SERVER}/postgres") -> list[tuple[Any, ...]]:
    """Run statements in order, commit each, and return the rows of the last."""
    connection = psycopg2.connect(address)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
