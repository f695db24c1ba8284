"""Test companions in the package of the jobs: requested once a day, requests counted, failures reported."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.companions import timing as companions_module
from avepoint_simulator import SCOPES, Simulator, World
from avepoint_simulator.companions import Companions, ServiceSchedule, make_companions
from m365_jobs.load.companions import CompanionLoad
from m365_jobs.warehouse import contract
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import open_reader

from tests.support.worlds import settings

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
TABLES = ("license_consumption", "unusual_activity", "backup_schedules", "retention_policies", "companion_loads")


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    world = World(START)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setattr(companions_module, "_now", lambda: world.now)
    with Simulator(world, companions=make_companions(START)) as running:
        yield running


@dlt.source(name="avepoint_m365")
def jobs() -> Any:
    yield dlt.resource([{"id": 1, "tenant": "default"}], name="jobs_all")


def load(simulator: Simulator, **more: Any) -> tuple[CompanionLoad, bool]:
    """Load companions that are due beside a resource of jobs; return the load, and whether any was due."""
    pipeline = warehouse.open_pipeline("default", "duckdb")
    loading = CompanionLoad(pipeline, "default", settings(simulator, **{"include": "auto", **more}), RequestStats())

    source, resources = jobs(), loading.resources()
    source.resources.add(*resources)
    pipeline.run(source)
    assert loading.finished
    return loading, bool(resources)


def count(table: str) -> int:
    with warehouse.open_pipeline("default", "duckdb").sql_client() as client:
        rows: Any = client.execute_sql(f"SELECT count(*) FROM m365_jobs.{table}")
        return int(rows[0][0])


def test_companions_are_asked_once_a_day_and_their_requests_are_counted(simulator: Simulator) -> None:
    first, asked = load(simulator)
    assert asked
    assert all(count(table) for table in TABLES)
    # One request each for licence, frequency and retention, eight for days of activity, and a token for each scope.
    assert len(simulator.asked) == 11
    assert first.stats.attempts == 11 + 3
    again, asked = load(simulator)
    assert (asked, again.stats.attempts, len(simulator.asked)) == (False, 0, 11)
    simulator.world.advance(timedelta(days=1))
    assert load(simulator)[0].stats.attempts == 5 + 3


@pytest.mark.destinations
def test_a_lake_keeps_the_history_of_settings_as_well(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    pipeline = warehouse.open_pipeline("default", "filesystem")
    before, after = (time(1),), (time(1), time(13))
    simulator.companions = Companions(
        schedules=[
            (START - timedelta(days=9), (ServiceSchedule(0, before), ServiceSchedule(2, before))),
            (START + timedelta(days=1), (ServiceSchedule(0, after), ServiceSchedule(2, before))),
        ]
    )
    for _ in range(3):
        loading = CompanionLoad(pipeline, "default", settings(simulator, include=["schedule"]), RequestStats())
        source = jobs()
        source.resources.add(*loading.resources())
        pipeline.run(contract.prepare(source, pipeline))
        simulator.world.advance(timedelta(days=1))
    with open_reader(pipeline) as reader:
        rows = reader.rows(
            "SELECT object_type, backups_per_day, valid_to IS NULL AS in_force FROM backup_schedules ORDER BY 1, 2"
        )
    assert [tuple(row.values()) for row in rows] == [
        ("exchange_online", 1.0, False),
        ("exchange_online", 2.0, True),
        ("onedrive", 1.0, True),
    ]


def test_a_missing_permission_is_reported_once_and_fails_only_a_configured_companion(
    simulator: Simulator,
) -> None:
    scope = "microsoft365backup.subscriptionInfo.read.all"
    simulator.scopes = tuple(item for item in SCOPES if item != scope)
    first, _ = load(simulator)
    assert first.incomplete() == []
    assert [scope in note for note in first.notes()] == [True]
    simulator.world.advance(timedelta(days=1))
    assert load(simulator)[0].notes() == []
    simulator.world.advance(timedelta(days=1))
    named, _ = load(simulator, include=["licenses"])
    assert [scope in line for line in named.incomplete()] == [True]


def test_without_companions_the_tables_are_made_once(simulator: Simulator) -> None:
    assert load(simulator, include="none")[1]
    assert [count(table) for table in TABLES] == [0] * 5
    assert not load(simulator, include="none")[1]
    assert simulator.asked == []
