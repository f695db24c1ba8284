"""Test the whole path over real HTTP: the warehouse holds exactly the rows of the simulator."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from avepoint_m365 import avepoint_m365
from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import Answer, Asked, Dialect, Simulator, make_world
from dlt.destinations import duckdb as duckdb_destination

from tests.support.truth import in_warehouse, on_server

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=9)


def load(simulator: Simulator, folder: Path, **settings: Any) -> Path:
    """Load with a pipeline of the user, and return the DuckDB file."""
    file = folder / "warehouse.duckdb"
    pipeline = dlt.pipeline(
        "end_to_end",
        pipelines_dir=str(folder / "state"),
        destination=duckdb_destination(str(file)),
        dataset_name="m365_jobs",
    )
    access: dict[str, Any] = {
        "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
    }
    pipeline.run(avepoint_m365(**access, **settings)).raise_on_failed_jobs()
    return file


DIALECTS = {
    "sample": Dialect(),
    "table": Dialect(count_suffix="Number", first_page=0, link="relative", time="offset", no_time="null"),
    "numbers as strings": Dialect(numbers_as_strings=True, link="wrong_path", time="naive", no_time="year_one"),
    "totals per page": Dialect(total_basis="page", max_page_size=7, link="foreign", time="seven_decimals"),
    "no totals, no links": Dialect(total_basis="absent", max_page_size=7, link="none", no_time="empty"),
    "opaque links": Dialect(link="opaque", max_page_size=5, empty_parts="absent", extra_fields=True),
    "circular links": Dialect(link="circle", max_page_size=5, empty_parts="null"),
    "refuses large pages": Dialect(refuse_page_size_over=20, link="query_only"),
}


@pytest.mark.usual(1)
@pytest.mark.parametrize("locations", [(), ("NAM", "EUR")])
@pytest.mark.parametrize("generation", [1, 2])
def test_the_warehouse_holds_what_the_server_holds(tmp_path: Path, generation: int, locations: tuple[str, ...]) -> None:
    world = make_world(600, seed=generation, now=NOW, locations=locations)
    with Simulator(world, generations=(generation,)) as simulator:
        file = load(simulator, tmp_path, locations=list(locations) or None)
        assert in_warehouse(file) == on_server(world, bool(locations))
        world.advance(timedelta(hours=8))
        file = load(simulator, tmp_path, locations=list(locations) or None)
        assert in_warehouse(file) == on_server(world, bool(locations))
        assert simulator.most_in_flight <= 8


@pytest.mark.usual(1)
@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_the_warehouse_is_the_same_however_the_api_spells_its_answers(
    tmp_path: Path, dialect: Dialect, generation: int
) -> None:
    world = make_world(150, seed=3, now=NOW)
    with Simulator(world, dialect=dialect, generations=(generation,)) as simulator:
        assert in_warehouse(load(simulator, tmp_path, page_size=50)) == on_server(world, False)


def test_dropped_connections_server_errors_and_expired_tokens_are_ridden_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.01")
    world = make_world(80, seed=4, now=NOW)
    faults = {3: Answer(0, drop=True), 9: Answer(503, "<html>"), 17: Answer(401), 23: Answer(500)}

    def fault(asked: Asked) -> Answer | None:
        return faults.get(asked.number)

    with Simulator(world, fault=fault) as simulator:
        assert in_warehouse(load(simulator, tmp_path)) == on_server(world, False)
        assert simulator.token_requests == 2


def test_fields_that_the_api_adds_are_left_out_or_kept_as_json(tmp_path: Path) -> None:
    world = make_world(40, seed=9, now=NOW)
    with Simulator(world, dialect=Dialect(extra_fields=True)) as simulator:
        for folder, settings in (("without", {}), ("with", {"keep_unknown_fields": True})):
            (tmp_path / folder).mkdir()
            file = load(simulator, tmp_path / folder, **settings)
            assert in_warehouse(file) == on_server(world, False)
            with duckdb.connect(str(file), read_only=True) as connection:
                columns = {row[0]: row[1] for row in connection.execute("DESCRIBE m365_jobs.jobs").fetchall()}
                assert columns.get("unknown_fields") == ("JSON" if settings else None)
                if settings:
                    remaining = connection.execute(
                        "SELECT DISTINCT unknown_fields::VARCHAR FROM m365_jobs.jobs"
                    ).fetchall()
                    assert remaining == [('{"addedLater": {"nested": [1, 2]}}',)]


def test_load_audit_has_the_servers_total_of_each_listing(tmp_path: Path) -> None:
    world = make_world(400, seed=6, now=NOW)
    with Simulator(world) as simulator:
        file = load(simulator, tmp_path, page_size=20)
        asked = len(simulator.asked)
    loaded, running = Counter[tuple[str | None, str | None]](), Counter[tuple[str | None, str | None]]()
    for job in world.visible():
        for listing in ((None, None), (ObjectType(job.object_type).name, None), (None, JobType(job.job_type).name)):
            loaded[listing] += 1
            running[listing] += not job.finished(world.now)
    with duckdb.connect(str(file), read_only=True) as connection:
        audit = connection.execute(
            "SELECT object_type, job_type, reported_total, distinct_jobs, in_progress, complete, total_scope, endpoint "
            "FROM m365_jobs.load_audit"
        ).fetchall()
        (requests,) = connection.execute("SELECT sum(requests) FROM m365_jobs.load_audit").fetchone() or (0,)
    assert sorted(audit, key=str) == sorted(
        [(*item, count, count, running[item], True, "matches", "jobs") for item, count in loaded.items()], key=str
    )
    # A few more requests detect what a range means and whether long ranges are cut.
    assert 0 < asked - requests <= 5
