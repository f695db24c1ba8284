"""Destinations that tests load into, in-process, and what these then hold, in the form of ``tests.truth``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Settings of the source that all loads of a test are given."""

    object_types: list[str]
    start_date: str


@dataclass
class Warehouse:
    """A destination by the name that ``--destination`` takes; configured through the environment."""

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
        """Job id to everything the three tables say of it."""
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
    """Skips a test where no server answers; fails it there where one is promised (``M365_TEST_POSTGRES_REQUIRED``)."""
    try:
        psycopg2.connect(f"{SERVER}/postgres", connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        word = f"PostgreSQL does not answer at {SERVER.rpartition('@')[2]}, and these tests need it: {error}"
        if os.environ.get("M365_TEST_POSTGRES_REQUIRED"):
            pytest.fail(word)
        pytest.skip(word)


@contextmanager
def database(made: str = "") -> Iterator[str]:
    """A PostgreSQL database of its own, gone afterwards: its address. ``made``: options of its making."""
    require_postgres()
    name = f"m365_{uuid4().hex[:12]}"
    administer(f"CREATE DATABASE {name} {made}")
    try:
        yield f"{SERVER}/{name}"
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def database_as_warehouse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL database that is the warehouse of this process, which works in ``folder``: its address."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
    with database() as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield address


def administer(*statements: str, address: str = f"{SERVER}/postgres") -> list[tuple[Any, ...]]:
    """Runs statements one by one, each committed; the rows of the last."""
    connection = psycopg2.connect(address)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
