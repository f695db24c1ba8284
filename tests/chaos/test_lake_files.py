"""Test that a lake contains few files after many loads, with and without new jobs."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from avepoint_simulator import Simulator, make_world
from m365_jobs.locks import lake

from tests.support.cli import NOW
from tests.support.driven_clock import DrivenClock
from tests.support.truth import on_server
from tests.support.warehouse import Warehouse

LOADS = int(os.environ.get("M365_JOBS_LAKE_LOADS", "12"))
"""Number of loads; 60 with ``make crashes``."""
MOST = 600
"""Largest allowed number of files after 60 loads. Without compaction and removal there would be 1,224."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    # All loads run within about a minute. Without a retention time, each load may remove old files.
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__LAKE_RETENTION_HOURS", "0")
    monkeypatch.setattr(lake, "KEEP_HOURS", 0)
    return Warehouse("filesystem")


@pytest.mark.parametrize("hours", [0.0, 1.5], ids=["nothing_new", "a_change_each"])
def test_files_of_a_lake_are_bounded_load_after_load(place: Warehouse, hours: float) -> None:
    world = make_world(300, seed=2, now=NOW, days=6)
    world.now = NOW - timedelta(days=5)
    counts = []
    with Simulator(world) as simulator, DrivenClock() as clock:
        for _ in range(LOADS):
            clock.set(world.now)
            place.load(simulator)
            counts.append(len([file for file in Path("lake").rglob("*") if file.is_file()]))
            world.advance(timedelta(hours=hours))
        clock.set(world.now)
        place.load(simulator)
        assert place.contents() == on_server(world, False)
    print(f"{LOADS} loads: at most {max(counts)} files, {counts[-1]} at the end")
    assert max(counts) <= MOST
