"""A pipeline for each destination that marts are run on."""

from collections.abc import Iterator
from pathlib import Path

import dlt
import pytest

from tests.support.warehouse import database


@pytest.fixture(params=["duckdb", "postgres"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dlt.Pipeline]:
    """A pipeline into an empty warehouse: a DuckDB file, or a PostgreSQL database of its own."""
    folder = {"pipelines_dir": str(tmp_path / "state"), "dataset_name": "m365_jobs"}
    if request.param == "duckdb":
        yield dlt.pipeline("marts", destination=dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb")), **folder)
    else:
        with database() as address:
            yield dlt.pipeline("marts", destination=dlt.destinations.postgres(address), **folder)
