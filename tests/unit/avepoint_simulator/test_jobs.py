"""Test the jobs endpoint, as documented and in each form that the documentation leaves open."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from avepoint_simulator import Dialect, Drift, JobError, SimulatedJob, Simulator, World, make_world
from avepoint_simulator.tenant import ORDERS

from tests.unit.avepoint_simulator.conftest import Api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ERROR = JobError("Access denied.", True, "https://support.example/kb", 4)
JOB = SimulatedJob(
    "FB20260301100000000001", 7, 1, "NAM", NOW - 2 * HOUR, NOW - HOUR, "Finished with Exception", 9, 2, 1, (ERROR,)
)
OPEN = SimulatedJob("RE20260301113000000002", 1, 2, "EUR", NOW - HOUR / 2, NOW + HOUR, "Failed", 5)


def small_world() -> World:
    world = World(NOW)
    world.put(JOB, OPEN)
    return world


def shown(suffix: str) -> list[dict[str, Any]]:
    """Return the two jobs in the documented form, newest first."""
    counts = [("total", 9, 0), ("failed", 2, 0), ("successful", 6, 0), ("skipped", 1, 0)]
    error = {"isErrorCode": True, "value": "Access denied.", "url": "https://support.example/kb", "number": 4}
    done = {
        "id": JOB.id,
        "state": "Finished with Exception",
        "startTime": "2026-03-01T10:00:00Z",
        "finishTime": "2026-03-01T11:00:00Z",
        "duration": "1.000",
        "backupDetails": {name + suffix: count for name, count, _ in counts},
        "jobErrors": [error],
    }
    running = {
        "id": OPEN.id,
        "state": "In Progress",
        "startTime": "2026-03-01T11:30:00Z",
        "duration": "0.500",
        "backupDetails": {name + suffix: count for name, _, count in counts},
        "jobErrors": [],
    }
    return [running, done]


@pytest.mark.parametrize("suffix", ["Count", "Number"])
def test_both_generations_answer_in_their_envelope_and_either_spelling(generation: int, suffix: str) -> None:
    with Simulator(small_world(), Dialect(count_suffix=suffix), generations=(generation,)) as simulator:
        body = Api(simulator, generation).get().json()
        other = Api(simulator, 3 - generation).get()
    total = {f"total{suffix}": 2, "nextLink": ""}
    if generation == 1:
        assert body == {"jobs": shown(suffix), **total}
    else:
        assert all(body.pop(name) for name in ("requestId", "timestamp", "traceId"))
        assert body == {"statusCode": 200, "message": "", "errors": [], "data": shown(suffix), "metadata": total}
    assert other.status_code == 404


def test_a_job_is_written_in_every_spelling_of_a_dialect() -> None:
    def served(job_id: str, **dialect: Any) -> dict[str, Any]:
        with Simulator(small_world(), Dialect(**dialect)) as simulator:
            return next(job for job in Api(simulator).page()[0] if job["id"] == job_id)

    forms = {
        "offset": "2026-03-01T11:00:00+00:00",
        "naive": "2026-03-01T11:00:00",
        "seven_decimals": "2026-03-01T11:00:00.0000000Z",
        "date": "2026-03-01",
    }
    assert {form: served(JOB.id, time=form)["finishTime"] for form in forms} == forms
    times = {"null": None, "empty": "", "year_one": "0001-01-01T00:00:00"}
    assert {form: served(OPEN.id, no_time=form)["finishTime"] for form in times} == times
    assert served(OPEN.id, open_details="null", empty_parts="null") == {
        **shown("Count")[0],
        "backupDetails": None,
        "jobErrors": None,
    }
    assert served(OPEN.id, open_details="absent", empty_parts="absent").keys() == {
        "id",
        "state",
        "startTime",
        "duration",
    }
    strings = served(JOB.id, numbers_as_strings=True, extra_fields=True)
    assert list(strings["backupDetails"].values()) == ["9", "2", "6", "1"]
    assert strings["jobErrors"][0]["number"] == "4"
    assert strings["addedLater"] == {"nested": [1, 2]}


def test_ids_may_be_numbers() -> None:
    world = make_world(20, id_form="number")
    with Simulator(world, Dialect(ids_as_numbers=True)) as simulator:
        assert {job["id"] for job in Api(simulator).page(pageSize=50)[0]} == {int(job.id) for job in world.visible()}


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str])
def test_parameters_are_known_in_any_case(generation: int, spelled: Any) -> None:
    with Simulator(make_world(2000, locations=("NAM", "EUR"))) as simulator:
        asked = {"objectType": 7, "jobType": 1, "jobState": 2, "location": "EUR", "startTime": "2026-01-01"}
        asked |= {"finishTime": "2026-01-12T06:00:00Z", "pageSize": 3, "pageIndex": 2}
        rows, paging = Api(simulator, generation).page(**{spelled(name): value for name, value in asked.items()})
        loaded = [
            job.id
            for job in sorted(simulator.world.visible(), key=lambda job: (job.start, job.id), reverse=True)
            if (job.object_type, job.job_type, job.location, job.final_state) == (7, 1, "EUR", "Finished")
            and job.finish
            and datetime(2026, 1, 1, tzinfo=UTC) <= job.finish <= datetime(2026, 1, 12, 6, tzinfo=UTC)
        ]
        assert len(loaded) > 3
        assert ([row["id"] for row in rows], paging["totalCount"]) == (loaded[3:6], len(loaded))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objectType", "13"),
        ("jobType", "6"),
        ("jobState", "backup"),
        ("startTime", "yesterday"),
        ("pageSize", "0"),
        ("pageSize", "101"),
        ("pageIndex", "-1"),
    ],
)
def test_an_invalid_parameter_is_answered_with_400_and_its_name(generation: int, name: str, value: str) -> None:
    with Simulator(small_world(), Dialect(refuse_page_size_over=100)) as simulator:
        answer = Api(simulator, generation).get(**{name: value})
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["field"] == name
        assert repr(value) in error["message"]


def test_a_single_job_has_a_path_with_its_id() -> None:
    with Simulator(small_world()) as simulator:
        api = Api(simulator)
        assert api.get(f"cloudbackupjobs/{JOB.id}").json()["data"] == shown("Count")[1]
        assert api.get(f"cloudbackupjobs/{JOB.id}", location="NAM").status_code == 200
        assert api.get(f"cloudbackupjobs/{JOB.id}", location="EUR").status_code == 404
        assert api.get("cloudbackupjobs/none").status_code == 404


def test_jobs_appear_run_end_and_vanish_over_time() -> None:
    world = World(NOW)
    world.put(SimulatedJob("a", 1, 1, None, NOW + HOUR, NOW + 3 * HOUR, "Failed", 8, visible_until=NOW + 5 * HOUR))
    seen = []
    with Simulator(world) as simulator:
        api = Api(simulator)
        for _ in range(6):
            seen.append([(job["state"], job["duration"], job.get("finishTime")) for job in api.page()[0]])
            world.advance(HOUR)
    failed = [("Failed", "2.000", "2026-03-01T15:00:00Z")]
    running = [[("In Progress", duration, None)] for duration in ("0.000", "1.000")]
    assert seen == [[], *running, failed, failed, []]


def test_a_server_may_show_jobs_late() -> None:
    world = small_world()
    world.late = HOUR
    with Simulator(world) as simulator:
        assert Api(simulator).ids() == {JOB.id}
        world.advance(HOUR / 2)
        assert Api(simulator).ids() == {JOB.id, OPEN.id}


@pytest.mark.parametrize(
    ("reading", "bounds", "listed"),
    [
        ("start", "inclusive", True),
        ("start", "end_excluded", True),
        ("start", "exclusive", False),
        ("finish", "inclusive", True),
        ("finish", "end_excluded", False),
    ],
)
def test_a_range_means_starts_or_finishes_with_its_ends_or_without(reading: str, bounds: str, listed: bool) -> None:
    world = World(NOW, reading, bounds)
    world.put(JOB, OPEN)
    side = {"start": {"startTime": "2026-03-01T10:00:00Z", "finishTime": "2026-03-01T10:30:00Z"}}
    side["finish"] = {"startTime": "2026-03-01T10:30:00Z", "finishTime": "2026-03-01T11:00:00Z"}
    with Simulator(world) as simulator:
        assert Api(simulator).ids(**side[reading]) == ({JOB.id} if listed else set())


def test_each_job_has_one_location_and_the_primary_location_is_an_alias() -> None:
    world = small_world()
    world.primary_location = "EUR"
    with Simulator(world) as simulator:
        api = Api(simulator)
        results = {location: api.ids(location=location) for location in ("NAM", "EUR", "PrimaryGeoLocation", "GBR")}
        assert results == {"NAM": {JOB.id}, "EUR": {OPEN.id}, "PrimaryGeoLocation": {OPEN.id}, "GBR": set()}
        assert api.ids() == {JOB.id, OPEN.id}


DIALECTS = [
    Dialect(),
    Dialect(first_page=0, link="relative"),
    Dialect(first_page=0, page_index_required=True, link="none", total_basis="absent"),
    Dialect(link="wrong_path", total_basis="page", status_without_jobs=204),
    Dialect(link="query_only", max_page_size=4),
    Dialect(link="foreign"),
    Dialect(link="opaque"),
    Dialect(link="circle"),
]


@pytest.mark.parametrize("order", [item for item in ORDERS if item != "shuffled"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: f"{dialect.link} from {dialect.first_page}")
def test_pages_hold_every_job_exactly_once(generation: int, dialect: Dialect, order: str) -> None:
    world = make_world(40)
    world.order = order
    pages: list[list[str]] = []
    links, size = [], min(7, dialect.max_page_size)
    with Simulator(world, dialect) as simulator:
        api = Api(simulator, generation)
        while not pages or pages[-1]:
            rows, paging = api.page(pageSize=7, pageIndex=dialect.first_page + len(pages))
            pages.append([row["id"] for row in rows])
            links.append(paging.get("nextLink"))
            expected = {"matches": len(world.visible()), "page": len(rows), "absent": None}[dialect.total_basis]
            assert paging.get("totalCount") == (expected if paging else None)
    loaded = [job.id for job in world.select()]
    assert list(chain.from_iterable(pages)) == loaded
    assert len(loaded) == len(world.visible())
    assert pages == [loaded[at : at + size] for at in range(0, len(loaded), size)] + [[]]
    follow = [link for link in links if link]
    if dialect.link in ("none", "opaque"):
        assert len(set(follow)) == (0 if dialect.link == "none" else 1)
    else:
        numbers = [int(parse_qs(urlsplit(link).query)["pageIndex"][0]) for link in follow]
        first = dialect.first_page
        assert numbers == [first if dialect.link == "circle" else first + 1 + at for at in range(len(pages) - 2)]
        hosts = {"absolute": urlsplit(simulator.base_url).netloc, "foreign": "elsewhere.example"}
        assert {urlsplit(link).netloc for link in follow} == {hosts.get(dialect.link, "")}


def test_a_shuffled_list_holds_the_same_jobs_in_another_order_each_time() -> None:
    world = make_world(60)
    world.order = "shuffled"
    with Simulator(world) as simulator:
        first, second = ([job["id"] for job in Api(simulator).page(pageSize=100)[0]] for _ in range(2))
    assert first != second
    assert set(first) == set(second) == {job.id for job in world.visible()}


def test_where_pages_must_be_numbered_a_request_without_is_refused() -> None:
    with Simulator(small_world(), Dialect(page_index_required=True)) as simulator:
        assert Api(simulator).get().json()["errors"][0]["field"] == "pageIndex"


def test_a_204_has_no_body_and_keeps_the_connection() -> None:
    with Simulator(small_world(), Dialect(status_without_jobs=204)) as simulator:
        api = Api(simulator)
        empty = api.get(objectType=12)
        assert (empty.status_code, empty.content, "Content-Length" in empty.headers) == (204, b"", False)
        assert api.ids() == {JOB.id, OPEN.id}


def test_jobs_drift_between_pages_for_as_long_as_declared() -> None:
    world = make_world(50)
    before = {job.id for job in world.visible()}
    with Simulator(world, drift=Drift(insert=2, remove=1, every=2, requests=3)) as simulator:
        api = Api(simulator)
        sizes = [api.page()[1]["totalCount"] - len(before) for _ in range(9)]
    assert sizes == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    after = {job.id for job in world.visible()}
    assert (len(after - before), len(before - after)) >= (3, 1)


def test_the_same_seed_makes_the_same_tenant() -> None:
    assert make_world(300, seed=5).all() == make_world(300, seed=5).all()
    assert make_world(300, seed=5).all() != make_world(300, seed=6).all()
    with pytest.raises(ValueError, match="link is 'somewhere', not one of absolute, relative"):
        Dialect(link="somewhere")
