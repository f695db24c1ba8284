"""Test impossible values: a placeholder as start or finish, a missing duration, and rows that repeat a job."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from avepoint_m365.parse.raw import ParsedJobs, RawJobs, parse_raw

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
START = datetime(2026, 1, 10, 8, tzinfo=UTC)
FINISH = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)


def parse(*rows: dict[str, Any]) -> ParsedJobs:
    base = {"id": "a", "state": "Finished", "startTime": START.isoformat(), "finishTime": FINISH.isoformat()}
    return parse_raw([RawJobs([base | row for row in rows], now=NOW)])


@pytest.mark.parametrize("state", ["In Progress", "InProgress", "inprogress", "In_Progress", "1", 1])
@pytest.mark.parametrize(
    "finish", ["9999-12-31T23:59:59", "1970-01-01T00:00:00Z", "0001-01-01", "", "2026-01-10T09:30:00Z", "2038-01-19"]
)
def test_a_job_in_progress_has_no_finish_even_if_the_api_sends_one(state: object, finish: str) -> None:
    parsed = parse({"state": state, "finishTime": finish})
    assert parsed.jobs["finish_time"].to_pylist() == [None]
    assert parsed.unreadable == ()


@pytest.mark.parametrize("state", ["Wird ausgeführt", "", None, "7"])
@pytest.mark.parametrize("finish", ["9999-12-31T23:59:59", "1970-01-01T00:00:00Z", "2026-01-12T00:00:00Z"])
def test_in_an_unknown_state_an_impossible_finish_is_none(state: object, finish: str) -> None:
    parsed = parse({"state": state, "finishTime": finish})
    assert parsed.jobs["finish_time"].to_pylist() == [None]
    assert parsed.unreadable == ()


@pytest.mark.parametrize("state", ["Wird ausgeführt", "Finished", "Failed", None])
@pytest.mark.parametrize("finish", [START, FINISH, NOW + timedelta(hours=14), START - timedelta(hours=2)])
def test_a_finish_that_clocks_and_time_zones_explain_is_kept(state: str | None, finish: datetime) -> None:
    assert parse({"state": state, "finishTime": finish.isoformat()}).jobs["finish_time"].to_pylist() == [finish]


@pytest.mark.parametrize("state", ["Finished", "Failed", "FinishedException", "Partially finished", "3"])
def test_of_an_ended_job_a_finish_in_the_far_future_is_none_and_reported(state: str) -> None:
    parsed = parse({"state": state, "finishTime": "9999-12-31T00:00:00Z"})
    assert parsed.jobs["finish_time"].to_pylist() == [None]
    assert [(problem.job_id, problem.field) for problem in parsed.unreadable] == [("a", "finishTime")]
    assert "9999-12-31" in parsed.unreadable[0].value


def test_of_an_ended_job_a_finish_before_its_start_stays_for_the_data_checks() -> None:
    parsed = parse({"finishTime": "1970-01-01T00:00:00Z"})
    assert parsed.jobs["finish_time"].to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("state", ["In Progress", "Finished", "Failed", "Waiting", None])
@pytest.mark.parametrize("start", ["9999-12-31T23:59:59Z", "2262-01-01", "2026-01-12T00:00:00Z"])
def test_a_start_in_the_far_future_is_none_and_reported(state: str | None, start: str) -> None:
    parsed = parse({"state": state, "startTime": start})
    assert parsed.jobs["start_time"].to_pylist() == [None]
    assert [(problem.job_id, problem.field) for problem in parsed.unreadable] == [("a", "startTime")]
    assert start[:10] in parsed.unreadable[0].value


@pytest.mark.parametrize("start", ["1600-01-01T00:00:00Z", "0002-01-01"])
def test_a_start_centuries_before_the_finish_stays_for_the_data_checks(start: str) -> None:
    parsed = parse({"startTime": start})
    assert [moment.isoformat()[:10] for moment in parsed.jobs["start_time"].to_pylist()] == [start[:10]]
    assert parsed.jobs["duration_hours"].to_pylist()[0] > 400 * 365 * 24
    assert parsed.unreadable == ()


@pytest.mark.parametrize(("duration", "reported"), [("0,011", 1), ("1.02:03:04", 1), ("--", 1), (None, 0), ("", 0)])
def test_a_duration_that_cannot_be_read_is_computed_from_the_times(duration: object, reported: int) -> None:
    parsed = parse({"duration": duration})
    assert parsed.jobs["duration_hours"].to_pylist() == [1.5]
    assert [problem.value for problem in parsed.unreadable] == [repr(duration)] * reported


def test_a_duration_that_can_be_read_is_kept() -> None:
    assert parse({"duration": "0.011"}).jobs["duration_hours"].to_pylist() == [0.011]


def test_without_a_start_or_a_finish_there_is_no_duration() -> None:
    parsed = parse({"startTime": None}, {"id": "b", "finishTime": None}, {"id": "c", "startTime": "soon"})
    assert parsed.jobs["duration_hours"].to_pylist() == [None, None, None]
    assert parsed.jobs["id"].to_pylist() == ["a", "b", "c"]


def test_a_value_in_an_unknown_form_changes_no_other_job() -> None:
    parsed = parse({"id": "x"}, {"id": "y", "backupDetails": {"failedNumber": "--", "totalNumber": 5}}, {"id": "z"})
    assert parsed.jobs["id"].to_pylist() == ["x", "y", "z"]
    assert parsed.jobs["total_number"].to_pylist() == [None, 5, None]
    assert parsed.jobs["failed_number"].to_pylist() == [None, None, None]
    assert list(parsed.unreadable) == [("y", "backupDetails.failedNumber", "'--'")]


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"state": "Failed"}, "{'state': 'Failed'}"),
        ({"id": None}, "{'id': None}"),
        ({"id": ""}, "{'id': ''}"),
        ({"id": {"a": 1}}, "{'a': 1}"),
    ],
)
def test_a_row_without_a_readable_id_is_left_out_and_reported(row: dict[str, Any], shown: str) -> None:
    parsed = parse_raw([RawJobs([{"id": "x"}, row, {"id": "z"}], now=NOW)])
    assert parsed.jobs["id"].to_pylist() == ["x", "z"]
    assert list(parsed.unreadable) == [("", "id", shown)]


@pytest.mark.parametrize("row", ["text", 5, None, ["a"]])
def test_a_row_that_is_no_job_is_left_out_and_reported(row: object) -> None:
    parsed = parse_raw([RawJobs([{"id": "x"}, row, {"id": "z"}], now=NOW)])
    assert parsed.jobs["id"].to_pylist() == ["x", "z"]
    assert list(parsed.unreadable) == [("", "", repr(row))]


ROWS: dict[str, dict[str, str | None]] = {
    "running": {"state": "In Progress", "finishTime": None},
    "failed early": {"state": "Failed", "finishTime": "2026-01-10T09:00:00Z"},
    "finished late": {"state": "Finished", "finishTime": "2026-01-10T10:00:00Z"},
    "ended without a time": {"state": "Partially Finished", "finishTime": None},
    "failed before 1970": {"state": "Failed", "finishTime": "1960-01-01T00:00:00Z"},
}


@pytest.mark.parametrize(
    ("first", "second", "newer"),
    [
        ("running", "failed early", "failed early"),
        ("failed early", "running", "failed early"),
        ("finished late", "failed early", "finished late"),
        ("failed early", "finished late", "finished late"),
        ("ended without a time", "running", "ended without a time"),
        ("finished late", "ended without a time", "finished late"),
        ("failed before 1970", "ended without a time", "failed before 1970"),
        ("running", "running", "running"),
    ],
)
def test_of_two_rows_of_a_job_on_a_page_the_newer_state_counts(first: str, second: str, newer: str) -> None:
    parsed = parse(ROWS[first], {"id": "between"}, ROWS[second])
    rows = dict(zip(parsed.jobs["id"].to_pylist(), parsed.jobs["state"].to_pylist(), strict=True))
    assert rows == {"a": ROWS[newer]["state"], "between": "Finished"}
    assert parsed.jobs.num_rows == 2
