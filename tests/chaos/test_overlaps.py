"""Test jobs that two partitions return, and servers that compare a range with other times of a job."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator import Asked, ServerBehavior, Simulator, World, make_world
from avepoint_simulator.tenant import READINGS, SimulatedJob

from tests.integration.test_end_to_end import NOW, load
from tests.support.truth import OBJECT_TYPES, in_warehouse, on_server
from tests.support.worlds import Filters, ignore, include_sibling


def test_the_primary_location_is_an_alias_and_the_named_one_wins(tmp_path: Path) -> None:
    world = make_world(60, seed=5, now=NOW, locations=("NAM",))
    world.primary_location = "NAM"
    with Simulator(world) as simulator:
        for _ in range(2):
            file = load(simulator, tmp_path, locations=["PrimaryGeoLocation", "NAM"])
            assert in_warehouse(file) == on_server(world, True)


@pytest.mark.usual(1)
@pytest.mark.parametrize("reading", READINGS)
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


@pytest.mark.parametrize("page_size", [500, 10])
def test_if_the_api_ignores_job_types_jobs_have_no_job_type(
    tmp_path: Path, page_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(300, seed=8, now=NOW)
    ignore(world, 1)
    with Simulator(world) as simulator:
        loaded = in_warehouse(load(simulator, tmp_path, page_size=page_size))
    untyped = {job_id: (*job[:2], None, *job[3:]) for job_id, job in on_server(world, False).items()}
    assert loaded == untyped
    assert "whatever job_type is asked for" in caplog.text


@pytest.mark.usual(1)
@pytest.mark.parametrize("page_size", [500, 10])
def test_if_the_api_ignores_object_types_jobs_have_no_object_type(
    tmp_path: Path, page_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(100, seed=8, now=NOW)
    ignore(world, 0)
    with Simulator(world) as simulator:
        for _ in range(2):
            loaded = in_warehouse(load(simulator, tmp_path, page_size=page_size))
            assert loaded == {job_id: (job[0], None, *job[2:]) for job_id, job in on_server(world, False).items()}
            assert "whatever object_type is asked for" in caplog.text
            caplog.clear()
            world.advance(timedelta(hours=8))


@pytest.mark.parametrize(
    ("argument", "column", "when", "settings"),
    [
        (0, 1, [("12", None)], {}),
        (1, 2, [(None, "2"), (None, "1")], {"page_size": 10}),
    ],
    ids=["objectType", "jobType"],
)
def test_a_new_job_between_listings_does_not_hide_an_ignored_filter(
    tmp_path: Path, argument: int, column: int, when: list[tuple[str | None, str | None]], settings: dict[str, Any]
) -> None:
    """Test with a new job for each pair of objectType and jobType, added when the API receives the pair."""
    world = make_world(300, seed=8, now=NOW)
    ignore(world, argument)

    def one_comes(asked: Asked) -> None:
        if (asked.params.get("objecttype"), asked.params.get("jobtype")) in when[:1]:
            object_type, job_type = (int(item or 1) for item in when.pop(0))
            world.put(SimulatedJob(f"new {asked.number}", object_type, job_type, None, NOW - timedelta(minutes=5), NOW))

    with Simulator(world) as simulator:
        simulator.fault = one_comes
        loaded = in_warehouse(load(simulator, tmp_path, concurrency=1, **settings))
    assert not when
    assert {job[column] for job in loaded.values()} == {None}


def test_a_tenant_with_backups_only_has_its_job_type_filter_checked_once(tmp_path: Path) -> None:
    world = World(NOW)
    for number in range(1, 4):
        start = NOW - timedelta(hours=30 + number)
        world.put(SimulatedJob(f"job {number}", number, 1, None, start, start + timedelta(hours=1), total=2))
    with Simulator(world) as simulator:
        for restores in (1, 0):
            before = len(simulator.asked)
            assert in_warehouse(load(simulator, tmp_path)) == on_server(world, False)
            assert [request.params.get("jobtype") for request in simulator.asked[before:]].count("2") == restores


SIBLINGS = (("object_type", 4, 7), ("object_type", 7, 9), ("object_type", 9, 7), ("job_type", 2, 3), ("job_type", 5, 4))


@pytest.mark.usual(1)
@pytest.mark.parametrize(
    "settings", [{}, {"page_size": 10}, {"object_types": ["microsoft_365_groups", "teams"]}], ids=str
)
@pytest.mark.parametrize("sibling", SIBLINGS, ids=str)
def test_a_filter_that_includes_a_sibling_takes_no_label_from_it(
    tmp_path: Path, sibling: tuple[str, int, int], settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(300, seed=8, now=NOW)
    include_sibling(world, *sibling)
    listed = settings.get("object_types") or OBJECT_TYPES.values()
    with Simulator(world) as simulator:
        for _ in range(3):
            loaded = in_warehouse(load(simulator, tmp_path, **settings))
            truth = {job_id: job for job_id, job in on_server(world, False).items() if job[1] in listed}
            assert {job_id: loaded[job_id] for job_id in truth} == truth
            world.advance(timedelta(hours=8))
    if sibling == ("object_type", 4, 7):
        assert "several object_types; the narrowest or the first is stored (several_object_types)" in caplog.text


def test_a_job_that_two_services_return_has_the_first_one_and_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(120, seed=8, now=NOW)
    job = next(job for job in world.visible() if job.object_type == 7)
    select = world.select

    def with_the_job(*given: Any, **named: Any) -> list[SimulatedJob]:
        jobs = select(*given, **named)
        return [*jobs, job] if Filters(*given, **named).object_type == 4 and job not in jobs else jobs

    world.select = with_the_job  # type: ignore[method-assign]
    with Simulator(world) as simulator:
        loaded = in_warehouse(load(simulator, tmp_path))
    truth = on_server(world, False)
    assert loaded == truth | {job.id: (truth[job.id][0], "microsoft_365_groups", *truth[job.id][2:])}
    assert "1 job has several object_types; the narrowest or the first is stored" in caplog.text


def test_jobs_of_an_unknown_service_are_loaded_without_object_type_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(60, seed=9, now=NOW)
    with Simulator(world) as simulator:
        load(simulator, tmp_path, chunk_jobs=1000)
        assert "unknown_object_type" not in caplog.text
        start = NOW - timedelta(hours=3)
        world.put(*(SimulatedJob(f"new {n}", 13, 1, None, start, start + timedelta(hours=1)) for n in range(2)))
        loaded = in_warehouse(load(simulator, tmp_path, chunk_jobs=1000, since=str(NOW - timedelta(days=5))))
    assert [loaded[f"new {n}"][1] for n in range(2)] == [None, None]
    assert "2 jobs have an object type that is in no list (unknown_object_type), for instance new 0" in caplog.text


@pytest.mark.parametrize("service", ["teams", "power_bi"])
def test_jobs_of_services_that_are_not_loaded_do_not_pass_for_hidden_history(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, service: str
) -> None:
    world = World(NOW)
    for number, (object_type, days) in enumerate([(1, 200), (1, 100), (7, 50), (1, 40), (7, 3)]):
        start = NOW - timedelta(days=days)
        world.put(SimulatedJob(f"job {number}", object_type, 1, None, start, start + timedelta(hours=1), total=2))
    with Simulator(world) as simulator:
        loaded = in_warehouse(load(simulator, tmp_path, object_types=[service]))
    assert loaded == {key: job for key, job in on_server(world, False).items() if job[1] == service}
    assert "Long ranges are incomplete" not in caplog.text


@pytest.mark.parametrize("end", ["first", "last"])
def test_history_that_long_ranges_hide_is_loaded_of_one_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    world = World(NOW)
    for number, days in enumerate(range(20, 360, 40)):
        for object_type in (1, 7):
            start = NOW - timedelta(days=days)
            job_id = f"job {number} {object_type}"
            world.put(SimulatedJob(job_id, object_type, 1, None, start, start + timedelta(hours=1), total=2))
    with Simulator(world) as simulator:
        simulator.behavior = ServerBehavior(range_days=100, longer_ranges=end)
        loaded = in_warehouse(load(simulator, tmp_path, object_types=["teams"]))
    assert loaded == {key: job for key, job in on_server(world, False).items() if job[1] == "teams"}
    assert "Long ranges are incomplete: the API returns at most 92 days of jobs" in caplog.text
