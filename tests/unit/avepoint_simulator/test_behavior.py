"""Test servers that differ from the documentation, one switch at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from avepoint_simulator import Dialect, JobError, ServerBehavior, SimulatedJob, Simulator, World
from avepoint_simulator.tenant import EXCEPTION, STATE_CODES

from tests.unit.avepoint_simulator.conftest import Api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ERRORS = tuple(JobError(f"Error {number}", False, "", 1) for number in range(4))


def job(number: int, hours: float, object_type: int = 1, location: str = "NAM", **more: Any) -> SimulatedJob:
    """Return a job of one hour that began ``hours`` before now."""
    start = NOW - hours * HOUR
    return SimulatedJob(f"FB{number:019}", object_type, 1, location, start, start + HOUR, **more)


JOBS = (
    job(1, 2),
    job(2, 30, 2, "EUR", final_state=EXCEPTION, total=9, failed=4, errors=ERRORS),
    job(3, 24 * 40),
    job(4, 24 * 200, 2, "EUR"),
)
YEAR = {"startTime": "2025-03-01", "finishTime": "2026-03-02"}


@contextmanager
def api(jobs: tuple[SimulatedJob, ...] = JOBS, dialect: Dialect | None = None, **behavior: Any) -> Iterator[Api]:
    world = World(NOW, primary_location="NAM")
    world.put(*jobs)
    with Simulator(world, dialect or Dialect(), ServerBehavior(**behavior)) as simulator:
        yield Api(simulator)


def numbers(server: Api, **params: Any) -> list[int]:
    return sorted(int(job_id[2:]) for job_id in server.ids(**params))


def statuses(server: Api, *params: dict[str, Any]) -> list[int]:
    return [server.get(**param).status_code for param in params]


def test_a_server_as_documented_lists_all() -> None:
    with api() as server:
        assert numbers(server, **YEAR) == numbers(server) == [1, 2, 3, 4]
        assert numbers(server, objectType=0, jobType=0, jobState=0) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("behavior", "params", "listed"),
    [
        ({"parameter_answers": {"location": "ignored"}}, {"location": "EUR"}, [1, 2, 3, 4]),
        ({"parameter_answers": {"objectType": "ignored"}}, {"objectType": 2}, [1, 2, 3, 4]),
        ({"parameter_answers": {"objectType=5": "ignored"}}, {"objectType": 5}, [1, 2, 3, 4]),
        ({"parameter_answers": {"objectType=5": "ignored"}}, {"objectType": 2}, [2, 4]),
        ({"parameter_answers": {"location": "empty"}}, {"location": "EUR"}, []),
        ({"parameter_answers": {"location": "empty"}}, {}, [1, 2, 3, 4]),
        ({"parameter_answers": {"objectType=0": "empty"}}, {"objectType": 0}, []),
        ({"parameter_answers": {"objectType=0": "empty"}}, {"objectType": 1}, [1, 3]),
        ({"unset_location": "central"}, {}, [1, 3]),
        ({"unset_location": "central"}, {"location": "EUR"}, [2, 4]),
        ({"default_range_days": 2}, {}, [1, 2]),
        ({"default_range_days": 2}, YEAR, [1, 2, 3, 4]),
        ({"time_parameter_case": "pascal", "default_range_days": 1}, YEAR, [1]),
        ({"time_parameter_case": "pascal"}, {"StartTime": "2026-02-26", "objectType": 2}, [2]),
        ({"time_parameter_case": "camel"}, {"StartTime": "2026-02-26"}, [1, 2, 3, 4]),
        ({"parameter_case": "pascal"}, {"ObjectType": 2, "objectType": 1, "PageSize": 5}, [2, 4]),
        ({"range_days": 90, "longer_ranges": "last"}, YEAR, [1, 2, 3]),
        ({"range_days": 250, "longer_ranges": "first"}, YEAR, [4]),
        ({"range_days": 90, "longer_ranges": "last"}, {"startTime": "2025-08-01", "finishTime": "2025-09-01"}, [4]),
        ({"oldest_start_days": 180, "older_starts": "cut"}, YEAR, [1, 2, 3]),
        ({"index_lag_hours": 72}, {}, [3, 4]),
        ({"index_lag_hours": 72, "index_lag_filters": ("objectType",)}, {}, [1, 2, 3, 4]),
        ({"index_lag_hours": 72, "index_lag_filters": ("objectType",)}, {"objectType": 2}, [4]),
        ({"index_lag_hours": 72, "index_lag_share": 0.0}, {}, [1, 2, 3, 4]),
        ({"page_size_limit": 200}, {}, []),
        ({"page_size_limit": 1000}, {}, [1, 2, 3, 4]),
        ({"depth_limit": 3}, {}, [1, 2, 3]),
        ({"empty_generations": (1,)}, {}, []),
        ({"empty_generations": (2,)}, {}, [1, 2, 3, 4]),
    ],
)
def test_what_a_listing_shows(behavior: dict[str, Any], params: dict[str, Any], listed: list[int]) -> None:
    with api(**behavior) as server:
        assert numbers(server, **params) == listed


@pytest.mark.parametrize(
    ("behavior", "params", "status"),
    [
        ({"parameter_answers": {"objectType=2": 400}}, {"objectType": 2}, 400),
        ({"parameter_answers": {"objectType=2": 400}}, {"objectType": 1}, 200),
        ({"parameter_answers": {"location=EUR": 503}}, {"location": "EUR"}, 503),
        ({"parameter_answers": {"location": "no_content"}}, {"location": "EUR"}, 204),
        ({"range_days": 30}, YEAR, 400),
        ({"range_days": 30}, {"startTime": "2025-03-01", "finishTime": "2025-03-30"}, 200),
        ({"oldest_start_days": 180}, YEAR, 400),
        ({"oldest_start_days": 180}, {"startTime": "2025-12-01"}, 200),
        ({"page_size_limit": 100, "larger_pages": 504}, {"pageSize": 101}, 504),
        ({"page_size_limit": 100, "larger_pages": 504}, {"pageSize": 100}, 200),
        ({"job_by_id": False}, {"path": f"cloudbackupjobs/{JOBS[0].id}"}, 404),
    ],
)
def test_what_a_request_is_refused_with(behavior: dict[str, Any], params: dict[str, Any], status: int) -> None:
    with api(**behavior) as server:
        assert server.get(**params).status_code == status


@pytest.mark.parametrize(("answer", "status"), [("empty", 200), ("no_content", 204), (403, 403)])
def test_the_first_answers_may_differ(answer: str | int, status: int) -> None:
    with api(first_requests=2, first_answer=answer) as server:
        assert statuses(server, {}, {}) == [status] * 2
        assert numbers(server) == [1, 2, 3, 4]


@pytest.mark.parametrize(("deeper", "pages"), [("empty", [2, 1, 0]), (400, [2, 400]), (404, [2, 404]), (500, [2, 500])])
def test_pages_beyond_a_depth_are_empty_or_fail(deeper: str | int, pages: list[int]) -> None:
    with api(depth_limit=3, deeper_pages=deeper) as server:
        answers = [server.get(pageSize=2, pageIndex=index + 1) for index in range(len(pages))]
        assert [len(answer.json()["jobs"]) if answer.ok else answer.status_code for answer in answers] == pages
        assert answers[0].json()["totalCount"] == 4


def test_totals_and_pages_may_end_at_a_depth() -> None:
    with api(depth_limit=3) as server:
        first, last = (server.page(pageSize=2, pageIndex=index) for index in (1, 2))
        assert [len(first[0]), len(last[0])] == [2, 1]
        assert [first[1]["totalCount"], last[1]["totalCount"], last[1]["nextLink"]] == [3, 3, ""]


def test_pages_that_are_filtered_after_paging_may_be_empty_and_link_to_the_next() -> None:
    with api(filters_after_paging=True) as server:
        page, paging = server.page(objectType=2, pageSize=1, pageIndex=1)
        assert (page, paging["totalCount"]) == ([], 2)
        assert "pageIndex=2" in paging["nextLink"]
        assert len(server.page(objectType=2, pageSize=1, pageIndex=2)[0]) == 1


@pytest.mark.parametrize("error", [1, -1])
def test_a_total_may_be_wrong(error: int) -> None:
    with api(total_error=error) as server:
        assert server.page()[1]["totalCount"] == 4 + error


def test_a_total_may_count_the_jobs_of_all_tenants() -> None:
    with api(total_factor=3) as server:
        assert server.page()[1]["totalCount"] == 12


@pytest.mark.parametrize(("order", "states"), [("older_first", ["In Progress", "Finished"]), ("older_last", None)])
def test_a_job_may_have_two_rows_on_a_page(order: str, states: list[str] | None) -> None:
    with api(repeated_row=order) as server:
        rows, paging = server.page()
        assert [row["state"] for row in rows if row["id"] == JOBS[0].id] == (states or ["Finished", "In Progress"])
        assert (len(rows), paging["totalCount"]) == (5, 4)


def test_fields_may_be_missing_from_a_page_and_values_differ() -> None:
    with api(missing_fields=("finishTime",), missing_on_page=1, values={JOBS[2].id: {"duration": "0,011"}}) as server:
        rows = [row for index in (1, 2) for row in server.page(pageSize=2, pageIndex=index)[0]]
        assert ["finishTime" in row for row in rows] == [True, True, False, False]
        assert [row["duration"] for row in rows] == ["1.000", "1.000", "0,011", "1.000"]


def test_a_job_in_progress_may_drop_out_of_listings() -> None:
    with api((replace(JOBS[1], finish=NOW + HOUR),), open_hidden_after_hours=24) as server:
        assert numbers(server) == []
        assert server.get(f"cloudbackupjobs/{JOBS[1].id}", location="EUR").ok
        server.simulator.world.advance(2 * HOUR)
        assert numbers(server) == [2]


def test_one_job_lists_its_top_errors_and_belongs_to_the_central_location() -> None:
    with api(top_errors=2) as server:
        path = f"cloudbackupjobs/{JOBS[1].id}"
        assert statuses(server, {"path": path}, {"path": path, "location": "NAM"}) == [404, 404]
        assert len(server.get(path, location="EUR").json()["data"]["jobErrors"]) == 2
        assert server.get(f"cloudbackupjobs/{JOBS[0].id}").ok
        assert server.get(f"cloudbackupjobs/{JOBS[0].id}", location="PrimaryGeoLocation").ok


@pytest.mark.parametrize("ahead", [0, 50])
def test_every_answer_may_have_the_date_of_the_servers_clock(ahead: int) -> None:
    requests: tuple[dict[str, Any], ...] = ({}, {"pageSize": 0}, {"path": "nowhere"})
    with api(clock_skew_hours=ahead) as server:
        dates = [server.get(**params).headers["Date"] for params in requests]
        assert {parsedate_to_datetime(date) for date in dates} == {NOW + ahead * HOUR}
    with api() as server:
        assert not any("Date" in server.get(**params).headers for params in requests)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("openapi", ["InProgress", "Finished", "Failed", "FinishedException", "PartiallyFinished"]),
        ("numbers", ["1", "2", "3", "4", "5"]),
        ("translated", ["Wird ausgeführt", "Beendet", "Fehlgeschlagen", "Mit Ausnahmen beendet", "Teilweise beendet"]),
    ],
)
def test_states_have_other_names(names: str, words: list[str]) -> None:
    jobs = tuple(job(code, 2, final_state=STATE_CODES[code]) for code in range(2, 6))
    running = replace(job(1, 1), finish=None)
    with api((*jobs, running), Dialect(state_names=names)) as server:
        assert [server.page(jobState=code)[0][0]["state"] for code in range(1, 6)] == words


@pytest.mark.parametrize(
    ("dialect", "total", "names"),
    [
        ({"field_case": "pascal"}, "TotalCount", {"FinishTime", "BackupDetails", "JobErrors"}),
        ({"field_case": "lower"}, "totalcount", {"finishtime", "backupdetails", "joberrors"}),
        ({"renamed_fields": {"finishTime": "EndTime", "jobErrors": "errors"}}, "totalCount", {"EndTime", "errors"}),
    ],
)
def test_fields_have_other_names(generation: int, dialect: dict[str, Any], total: str, names: set[str]) -> None:
    with api(dialect=Dialect(**dialect)) as server:
        text = server.get(("jobs", "cloudbackupjobs")[generation - 1]).text
        assert f'"{total}"' in text.replace(" ", "")
        assert all(f'"{name}"' in text for name in names)
        assert "finishTime" not in text


@pytest.mark.parametrize(("form", "finish"), [("epoch", "1970-01-01T00:00:00Z"), ("year_9999", "9999-12-31T23:59:59Z")])
def test_a_job_in_progress_may_have_a_placeholder_for_its_finish(form: str, finish: str) -> None:
    with api((replace(JOBS[0], finish=None),), Dialect(no_time=form)) as server:
        assert server.page()[0][0]["finishTime"] == finish


def test_a_server_may_switch_to_another_tenant_between_requests() -> None:
    with api() as server:
        assert numbers(server) == [1, 2, 3, 4]
        server.simulator.world = World(NOW)
        server.simulator.world.put(*JOBS[:2])
        assert numbers(server) == [1, 2]


def test_jobs_may_be_of_types_and_locations_that_no_list_has() -> None:
    with api((job(1, 2), job(2, 2, 13, "XYZ"), replace(job(3, 2), job_type=6))) as server:
        assert numbers(server) == [1, 2, 3]
        assert numbers(server, objectType=1) == [1, 3]
        assert numbers(server, jobType=1) == [1, 2]
        assert numbers(server, location="NAM") == [1, 3]


def test_an_unknown_switch_is_refused() -> None:
    with pytest.raises(ValueError, match="longer_ranges is 'middle', not one of refused, last, first"):
        ServerBehavior(longer_ranges="middle")
