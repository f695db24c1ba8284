"""Jobs that two partitions return, and servers that compare the range with other times of a job."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Simulator, World, make_world
from avepoint_simulator.world import SimulatedJob

from .test_end_to_end import NOW, load
from .truth import in_warehouse, on_server


def test_the_primary_location_is_an_alias_and_the_named_one_wins(tmp_path: Path) -> None:
    world = make_world(60, seed=5, now=NOW, locations=("NAM",))
    select = world.select

    def aliased(*args: Any) -> list[SimulatedJob]:
        object_type, job_type, state, location, *rest = args
        return select(object_type, job_type, state, "NAM" if location == "PrimaryGeoLocation" else location, *rest)

    world.select = aliased  # type: ignore[method-assign]
    with Simulator(world) as simulator:
        for _ in range(2):
            file = load(simulator, tmp_path, locations=["PrimaryGeoLocation", "NAM"])
            assert in_warehouse(file) == on_server(world, True)


@pytest.mark.parametrize("reading", ["start", "finish", "overlap"])
def test_a_job_of_days_that_shows_up_late_is_loaded_under_each_reading_of_the_range(
    tmp_path: Path, reading: str
) -> None:
    world = World(NOW - timedelta(days=10), reading=reading)
    short = SimulatedJob("short", 1, 1, None, world.now - timedelta(hours=5), world.now - timedelta(hours=4), total=3)
    late = SimulatedJob(
        "late", 1, 1, None, world.now - timedelta(days=4), world.now + timedelta(hours=2), total=7,
        visible_from=world.now + timedelta(hours=20),
    )  # fmt: skip
    world.put(short, late)
    with Simulator(world) as simulator:
        load(simulator, tmp_path)
        world.put(SimulatedJob("later", 1, 1, None, world.now, world.now + timedelta(hours=10)))
        world.advance(timedelta(hours=12))
        load(simulator, tmp_path)
        world.advance(timedelta(hours=9))
        assert in_warehouse(load(simulator, tmp_path)) == on_server(world, False)
