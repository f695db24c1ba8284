"""A pipeline for each destination that marts are run on."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dlt
import psycopg2
import pytest

SERVER = "postgresql://postgres:any@127.0.0.1:5432"


def _administer(statement: str) -> None:
    connection = psycopg2.connect(f"{SERVER}/postgres", connect_timeout=5)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


@pytest.fixture(scope="session")
def postgres() -> str:
    """The address of a server that answers."""
    try:
        psycopg2.connect(f"{SERVER}/postgres", connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        pytest.skip(f"No PostgreSQL answers at 127.0.0.1:5432 (user postgres, trust authentication): {error}")
    return SERVER


@pytest.fixture(params=["duckdb", "postgres"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dlt.Pipeline]:
    """A pipeline into an empty warehouse: a DuckDB file, or a PostgreSQL database that is gone afterwards."""
    folder = {"pipelines_dir": str(tmp_path / "state"), "dataset_name": "m365_jobs"}
    if request.param == "duckdb":
        yield dlt.pipeline("marts", destination=dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb")), **folder)
        return
    server, name = request.getfixturevalue("postgres"), f"marts_{uuid4().hex[:12]}"
    _administer(f"CREATE DATABASE {name}")
    try:
        yield dlt.pipeline("marts", destination=dlt.destinations.postgres(f"{server}/{name}"), **folder)
    finally:
        _administer(f"DROP DATABASE {name} WITH (FORCE)")
