"""Test the tables of companions after a warehouse is copied, and after a tenant is renamed or removed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_m365.companions import timing as companions_module
from avepoint_m365.companions.schema import TABLES as COMPANION_TABLES
from avepoint_m365.schema import Table
from avepoint_simulator import Simulator, World
from avepoint_simulator.companions import Companions, ServiceSchedule, license_of, retention_of
from m365_jobs.load.copy import copy_tenants
from m365_jobs.tenant_change import remove_tenant, rename_tenant

from tests.support.warehouse import Warehouse, database

pytestmark = pytest.mark.destinations

START = datetime(2026, 3, 10, 8, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE, AFTER = (time(1),), (time(1), time(13))
OF_TENANTS = [table for table in COMPANION_TABLES if "tenant" in table.names]
SETTINGS: dict[str, Any] = {"include": "context", "object_types": ["exchange_online"]}


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    world = World(START)
    monkeypatch.setattr(companions_module, "_now", lambda: world.now)
    companions = Companions(
        licenses=[(START - 9 * DAY, license_of())],
        schedules=[
            (START - 9 * DAY, (ServiceSchedule(0, BEFORE), ServiceSchedule(2, BEFORE))),
            (START + DAY, (ServiceSchedule(0, AFTER), ServiceSchedule(2, BEFORE))),
        ],
        retention=[(START - 9 * DAY, retention_of("7 years")), (START + DAY, retention_of("1 years"))],
        activity={((START - DAY).date(), 1): (4, 60)},
    )
    with Simulator(world, companions=companions) as running:
        yield running


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with database() as first:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", first)
        yield first


def contents(place: Warehouse, tables: list[Table]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the tables, sorted by their content."""
    return {
        table.name: sorted(place.rows(f"SELECT {', '.join(table.names)} FROM {table.name}"), key=repr)
        for table in tables
    }


def load_two_days(place: Warehouse, simulator: Simulator, **more: Any) -> None:
    place.load(simulator, **SETTINGS, **more)
    simulator.world.advance(DAY)
    place.load(simulator, **SETTINGS, **more)


@pytest.mark.parametrize("destination", ["postgres", "filesystem"])
def test_a_copy_has_the_companions_and_the_next_load_finds_settings_unchanged(
    simulator: Simulator, address: str, destination: str
) -> None:
    here, there = Warehouse("duckdb"), Warehouse(destination)
    load_two_days(here, simulator)
    tables = list(COMPANION_TABLES)
    before = contents(here, tables)
    assert all(before.values())
    assert len(before["backup_schedules"]) == 3
    for _ in range(2):
        done = copy_tenants(destination, None, there.messages.append)
        assert contents(there, tables) == before
    assert {table.name: done.rows["default"][table.name] for table in tables} == {
        name: len(rows) for name, rows in before.items()
    }
    asked = len(simulator.asked)
    there.load(simulator, **SETTINGS)
    assert len(simulator.asked) - asked == 1, "companions were asked today"
    simulator.world.advance(DAY)
    there.load(simulator, **SETTINGS)
    after = contents(there, tables)
    assert {name: after[name] for name in ("backup_schedules", "retention_policies")} == {
        name: before[name] for name in ("backup_schedules", "retention_policies")
    }
    assert len(after["companion_loads"]) == len(before["companion_loads"]) + 4


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_a_tenant_is_renamed_and_removed_in_the_tables_of_companions(
    simulator: Simulator, address: str, destination: str
) -> None:
    place = Warehouse(destination)
    load_two_days(place, simulator, tenant="contoso")
    place.load(simulator, **SETTINGS, tenant="fabrikam")
    before = contents(place, OF_TENANTS)
    assert all(before.values())
    rename_tenant(place.pipeline("contoso"), "contoso", "tailspin", place.messages.append)
    after = contents(place, OF_TENANTS)
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    assert {row[0] for rows in after.values() for row in rows} == {"tailspin", "fabrikam"}
    views: Callable[[str], list[Any]] = place.rows
    assert views("SELECT tenant, count(*) FROM current_backup_schedules GROUP BY 1 ORDER BY 1") == [
        ("fabrikam", 2),
        ("tailspin", 2),
    ]
    simulator.world.advance(DAY)
    place.load(simulator, **SETTINGS, tenant="tailspin")
    settings = [table for table in OF_TENANTS if table.name in ("backup_schedules", "retention_policies")]
    assert contents(place, settings) == {table.name: after[table.name] for table in settings}, "no version is new"
    remove_tenant(place.pipeline("tailspin"), "tailspin", place.messages.append)
    assert {row[0] for rows in contents(place, OF_TENANTS).values() for row in rows} == {"fabrikam"}
