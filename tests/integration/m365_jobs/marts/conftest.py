"""Provide a pipeline for each destination that the marts are tested on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import dlt
import pytest

from tests.integration.m365_jobs.marts.rows import make_tables
from tests.support.warehouse import SERVER, database, database_for

FILE = "warehouse.duckdb"

Templates = Callable[[str], tuple[Path, str]]


def _pipeline(folder: Path, kind: str, address: str) -> dlt.Pipeline:
    file = dlt.destinations.duckdb(str(folder / FILE))
    destination = file if kind == "duckdb" else dlt.destinations.postgres(address)
    state = str(folder / "state")
    return dlt.pipeline("marts", destination=destination, pipelines_dir=state, dataset_name="m365_jobs")


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Return a function from a destination to its template: a folder and a database with dlt's tables, to copy."""
    with ExitStack() as stack:

        @cache
        def template(kind: str) -> tuple[Path, str]:
            folder = tmp_path_factory.mktemp(f"template_{kind}")
            address = stack.enter_context(database_for(kind))
            made = _pipeline(folder, kind, address)
            make_tables(made)
            made.deactivate()
            return folder, address.removeprefix(f"{SERVER}/")

        yield template


@pytest.fixture(params=["duckdb", "postgres"])
def empty_pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dlt.Pipeline]:
    """Return a pipeline into a warehouse without tables."""
    with database_for(request.param) as address:
        yield _pipeline(tmp_path, request.param, address)


@pytest.fixture(params=["duckdb", "postgres"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path, templates: Templates) -> Iterator[dlt.Pipeline]:
    """Return a pipeline into a warehouse with empty tables: a DuckDB file, or a PostgreSQL database of its own."""
    folder, name = templates(request.param)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    if request.param == "duckdb":
        yield _pipeline(tmp_path, request.param, "")
    else:
        with database(f"TEMPLATE {name}") as address:
            yield _pipeline(tmp_path, request.param, address)


@pytest.fixture
def turkish(tmp_path: Path) -> Iterator[dlt.Pipeline]:
    """Return a pipeline into a Turkish database: lower-case I has no dot, and b sorts before C."""
    with database("TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'") as address:
        yield dlt.pipeline(
            "marts",
            pipelines_dir=str(tmp_path / "state"),
            destination=dlt.destinations.postgres(address),
            dataset_name="m365_jobs",
        )
