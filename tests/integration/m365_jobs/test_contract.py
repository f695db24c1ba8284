"""Test the data contract: names and types of tables and columns stay, even if the API or the version changes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365 import rows as tables
from avepoint_simulator import Dialect, SimulatedJob, Simulator, make_world
from m365_jobs.errors.explain import explain

from tests.support.cli import NOW
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse, database_for

PROMISE = {
    "jobs": {
        "tenant": "VARCHAR",
        "id": "VARCHAR",
        "location": "VARCHAR",
        "object_type": "VARCHAR",
        "job_type": "VARCHAR",
        "state": "VARCHAR",
        "start_time": "TIMESTAMP WITH TIME ZONE",
        "finish_time": "TIMESTAMP WITH TIME ZONE",
        "duration_hours": "DOUBLE",
        "first_seen_at": "TIMESTAMP WITH TIME ZONE",
        "fetched_at": "TIMESTAMP WITH TIME ZONE",
    },
    "jobs__backup_details": {
        "tenant": "VARCHAR",
        "job_id": "VARCHAR",
        "total_number": "BIGINT",
        "failed_number": "BIGINT",
        "successful_number": "BIGINT",
        "skipped_number": "BIGINT",
    },
    "jobs__job_errors": {
        "tenant": "VARCHAR",
        "job_id": "VARCHAR",
        "error_index": "BIGINT",
        "is_error_code": "BOOLEAN",
        "value": "VARCHAR",
        "url": "VARCHAR",
        "number": "BIGINT",
        "_dlt_removed": "BOOLEAN",
    },
}

START = NOW - timedelta(hours=3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")


@pytest.fixture(params=["duckdb", "postgres", "filesystem"])
def place(request: pytest.FixtureRequest, home: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with database_for(request.param) as address:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
        yield Warehouse(request.param)


def columns(place: Warehouse, table: str) -> dict[str, str]:
    return {row[0]: row[1] for row in place.rows(f"DESCRIBE {table}")}


def test_fields_that_the_api_adds_stay_out_of_the_tables(home: None) -> None:
    place = Warehouse("duckdb")
    with Simulator(make_world(60, seed=51, now=NOW), dialect=Dialect(extra_fields=True)) as simulator:
        for _ in range(2):
            place.load(simulator)
            assert {table: columns(place, table) for table in PROMISE} == PROMISE


def test_new_api_fields_are_stored_as_json_with_keep_unknown_fields(place: Warehouse) -> None:
    world = make_world(60, seed=52, now=NOW)
    with Simulator(world, dialect=Dialect(extra_fields=True)) as simulator:
        place.load(simulator)
        # Only new and changed jobs are written.
        world.advance(timedelta(hours=8))
        place.load(simulator, keep_unknown_fields=True)
        assert place.contents() == on_server(world, False)
        remaining = place.rows("SELECT unknown_fields FROM jobs WHERE unknown_fields IS NOT NULL")
    assert remaining
    for (fields,) in remaining:
        assert (json.loads(fields) if isinstance(fields, str) else fields) == {"addedLater": {"nested": [1, 2]}}


def test_a_changed_type_stops_the_load_before_anything_is_written(
    place: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(60, seed=53, now=NOW)
    with Simulator(world) as simulator:
        place.load(simulator)
        before = place.rows("SELECT * FROM jobs ORDER BY id")
        # Only new and changed jobs are written.
        world.put(SimulatedJob("new", 1, 1, None, START, START + timedelta(hours=1), total=5))
        rows = tables.job_rows

        def changed(*arguments: Any) -> pa.Table:
            table = rows(*arguments)
            index = table.schema.get_field_index("duration_hours")
            return table.set_column(index, "duration_hours", table["duration_hours"].cast(pa.string()))

        with monkeypatch.context() as patch:
            patch.setattr(tables, "job_rows", changed)
            with pytest.raises(Exception, match="duration_hours") as caught:
                place.load(simulator)
        why = explain(caught.value)
        assert why.text.startswith(
            "Type changed: column duration_hours of table jobs would no longer be of the type double"
        )
        assert why.exit_code == 1
        assert place.rows("SELECT * FROM jobs ORDER BY id") == before
        place.load(simulator)
        assert place.contents() == on_server(world, False)


def test_a_column_outside_the_contract_is_dropped_from_the_first_load_on(
    home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, place = tables.job_rows, Warehouse("duckdb")

    def more(*arguments: Any) -> pa.Table:
        table = rows(*arguments)
        return table.append_column("surprise", pa.repeat("!", table.num_rows))

    monkeypatch.setattr(tables, "job_rows", more)
    with Simulator(make_world(60, seed=54, now=NOW)) as simulator:
        place.load(simulator)
        assert columns(place, "jobs") == PROMISE["jobs"]
