"""Test that the index finds the same jobs as a search through all jobs."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from operator import attrgetter

import pytest
from avepoint_simulator import SimulatedJob, make_world
from avepoint_simulator.generator import DEFAULT_NOW
from avepoint_simulator.tenant import BOUNDS, READINGS, USUAL
from hypothesis import given
from hypothesis import strategies as st

WORLD = make_world(400, seed=1, days=25, locations=("NAM", "EUR"))
# Durations from minutes to a week, so that many jobs cross the borders of a range.
WORLD.put(
    *(replace(job, finish=job.start + min((job.finish - job.start) * 100, USUAL)) for job in WORLD.all() if job.finish)
)
MOMENTS = st.one_of(
    st.none(),
    st.sampled_from([moment for job in WORLD.all() for moment in (job.start, job.finish) if moment]),
    st.integers(-30 * 24, 24).map(lambda hours: DEFAULT_NOW + timedelta(hours=hours)),
)


@given(
    late=st.integers(0, 48),
    odd=st.lists(st.tuples(st.integers(0, 399), st.sampled_from(["long", "endless", "hidden", "gone"])), max_size=20),
    removed=st.sets(st.integers(0, 399), max_size=20),
    ahead=st.integers(0, 200),
    ranges=st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=3),
    object_type=st.sampled_from([0, 0, 0, 7]),
    job_type=st.sampled_from([0, 0, 0, 1]),
    job_state=st.sampled_from([0] * 5 + [*range(1, 6)]),
    location=st.sampled_from([None, None, "NAM", "EUR"]),
)
def test_select_finds_the_jobs_that_match_and_no_other(
    late: int,
    odd: list[tuple[int, str]],
    removed: set[int],
    ahead: int,
    ranges: list[tuple[datetime | None, datetime | None]],
    object_type: int,
    job_type: int,
    job_state: int,
    location: str | None,
) -> None:
    world = replace(WORLD, order="oldest", _jobs={}, _unusual={}, _sorted={})
    jobs = WORLD.all()
    world.put(*jobs)
    world.select(object_type, job_type, 0, location)
    for number, kind in odd:
        world.put(_odd(jobs[number], kind))
    for number in removed:
        world.remove(jobs[number].id)
    for number in list(removed)[:3]:
        world.put(jobs[number])
    world.late = timedelta(hours=late)
    now = world.advance(timedelta(hours=ahead))
    states = {1: "In Progress", 2: "Finished", 3: "Failed", 4: "Finished with Exception", 5: "Partially Finished"}
    for (since, until), reading, bounds in product(ranges, READINGS, BOUNDS):
        world.reading, world.bounds = reading, bounds
        matching = [
            job
            for job in world.visible()
            if object_type in (0, job.object_type)
            and job_type in (0, job.job_type)
            and location in (None, job.location)
            and job_state in (0, next(code for code, state in states.items() if state == job.state(now)))
            and job.in_range(reading, since, until, now, bounds)
        ]
        result = world.select(object_type, job_type, job_state, location, since, until)
        assert result == sorted(matching, key=attrgetter("start", "id"))


def _odd(job: SimulatedJob, kind: str) -> SimulatedJob:
    month = job.start + timedelta(days=30)
    changed = {
        "long": replace(job, finish=month),
        "endless": replace(job, finish=None),
        "hidden": replace(job, visible_from=job.start + timedelta(days=2)),
        "gone": replace(job, visible_until=job.start + timedelta(days=9)),
    }
    return changed[kind]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("reading", READINGS)
def test_an_open_job_counts_as_ending_now(reading: str, bounds: str) -> None:
    job = SimulatedJob("a", 1, 1, None, DEFAULT_NOW - timedelta(hours=2), None)
    hour = timedelta(hours=1)
    recent = job.in_range(reading, DEFAULT_NOW - hour, DEFAULT_NOW + hour, DEFAULT_NOW, bounds)
    earlier = job.in_range(reading, DEFAULT_NOW - 3 * hour, DEFAULT_NOW - hour, DEFAULT_NOW, bounds)
    expected = {
        "start": (False, True),
        "finish": (True, False),
        "overlap": (True, True),
        "whole": (False, False),
    }
    assert (recent, earlier) == expected[reading]
