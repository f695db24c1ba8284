"""Test fields under other names: in any case, and with each name that the vendor documents."""

import json
from typing import Any

import pytest
from avepoint_m365.parse.frame import SEEN_AT
from avepoint_m365.parse.names import field_of, key_of
from avepoint_m365.parse.raw import RawJobs, parse_raw

JOB: dict[str, Any] = {
    "id": "FB1",
    "state": "Finished",
    "startTime": "2026-01-01T00:00:00Z",
    "finishTime": "2026-01-01T01:30:00Z",
    "duration": "1.5",
    "backupDetails": {"totalNumber": 3, "failedNumber": 1, "successfulNumber": 2, "skippedNumber": 0},
    "jobErrors": [{"isErrorCode": True, "value": "denied", "url": "u", "number": 1}],
}


def parsed(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = parse_raw([RawJobs(list(rows))]).jobs.drop_columns(SEEN_AT).to_pylist()
    return jobs


def renamed(value: Any, rename: Any) -> Any:
    if isinstance(value, dict):
        return {rename(name): renamed(part, rename) for name, part in value.items()}
    return [renamed(part, rename) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("rename", [str.lower, str.upper, lambda name: name[0].upper() + name[1:]])
def test_names_are_matched_in_any_case(rename: Any) -> None:
    assert parsed(renamed(JOB, rename)) == parsed(JOB)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("finishTime", "EndTime"),
        ("jobErrors", "errors"),
        ("jobErrors", "TopErrors"),
        ("id", "jobId"),
        ("state", "Status"),
    ],
)
def test_a_field_is_found_under_its_other_documented_name(name: str, other: str) -> None:
    assert parsed({other if key == name else key: value for key, value in JOB.items()}) == parsed(JOB)


def test_the_usual_field_name_precedes_other_documented_names() -> None:
    (job,) = parsed(JOB | {"endTime": "2020-01-01T00:00:00Z", "status": "Failed"})
    assert (job["finish_time"], job["state"]) == (parsed(JOB)[0]["finish_time"], "Finished")


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_null_under_the_usual_field_name_yields_to_another_name(nothing: object) -> None:
    (job,) = parsed(JOB | {"finishTime": nothing, "EndTime": JOB["finishTime"]})
    assert job["finish_time"] == parsed(JOB)[0]["finish_time"]


@pytest.mark.parametrize(
    ("gone", "columns"),
    [
        ("state", {"state"}),
        ("startTime", {"start_time"}),
        ("finishTime", {"finish_time"}),
        ("duration", {"duration_hours"}),
        ("jobErrors", {"errors"}),
        ("backupDetails", {"total_number", "failed_number", "successful_number", "skipped_number"}),
    ],
)
def test_a_field_that_no_job_of_a_page_has_is_reported(gone: str, columns: set[str]) -> None:
    jobs = [JOB | {"id": str(number)} for number in range(3)]
    without = [{name: value for name, value in job.items() if name != gone} for job in jobs]
    assert parse_raw([RawJobs(without)]).missing_fields == columns
    assert parse_raw([RawJobs([*without, JOB])]).missing_fields == frozenset()


def moved(job: dict[str, Any], name: str, other: str) -> dict[str, Any]:
    return {other if key == name else key: value for key, value in job.items()}


def with_error(change: Any) -> dict[str, Any]:
    return JOB | {"jobErrors": [change(error) for error in JOB["jobErrors"]]}


DETAIL_COLUMNS = {"total_number", "failed_number", "successful_number", "skipped_number"}
RENAMED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "state": (moved(JOB, "state", "phase"), {"state"}),
    "start": (moved(JOB, "startTime", "times"), {"start_time"}),
    "finish": (moved(JOB, "finishTime", "completedAt"), {"finish_time"}),
    "details": (moved(JOB, "backupDetails", "statistics"), DETAIL_COLUMNS),
    "a count": (
        JOB | {"backupDetails": moved(JOB["backupDetails"], "failedNumber", "errorNumber")},
        {"failed_number"},
    ),
    "nested counts": (JOB | {"backupDetails": {"objects": JOB["backupDetails"]}}, DETAIL_COLUMNS),
    "errors": (moved(JOB, "jobErrors", "jobWarnings"), {"errors"}),
    "a message": (with_error(lambda error: moved(error, "value", "message")), {"errors.value"}),
    "occurrences": (with_error(lambda error: moved(error, "number", "times")), {"errors.number"}),
    "a flag": (with_error(lambda error: moved(error, "isErrorCode", "isCode")), {"errors.is_error_code"}),
    "a link": (with_error(lambda error: moved(error, "url", "helpLink")), {"errors.url"}),
}


@pytest.mark.parametrize("name", RENAMED)
def test_a_field_that_was_renamed_in_some_jobs_is_reported(name: str) -> None:
    job, columns = RENAMED[name]
    for jobs in ([JOB, job | {"id": "FB2"}], [job]):
        assert parse_raw([RawJobs(jobs)]).missing_fields == columns
    # Every job has the new field, and some have the old one as well: nothing says that it replaced the other.
    new = {key: job[key] for key in job.keys() - JOB.keys()}
    if new:
        assert parse_raw([RawJobs([JOB | new, job | {"id": "FB2"}, JOB | {"id": "FB3"}])]).missing_fields == frozenset()


def test_a_new_field_alone_is_no_renamed_one() -> None:
    running = {"id": "1", "state": "In Progress", "startTime": "2026-01-01T00:00:00Z", "progress": 40}
    fine = {name: value for name, value in JOB.items() if name != "jobErrors"}
    fine |= {"backupDetails": JOB["backupDetails"] | {"failedNumber": 0}, "note": "fine"}
    rows = [JOB, running, JOB | {"id": "FB2", "parentId": "FB1"}, fine | {"id": "FB3"}]
    assert parse_raw([RawJobs(rows)]).missing_fields == frozenset()


@pytest.mark.parametrize("name", ["value", "number"])
def test_a_field_that_no_error_of_a_page_has_is_reported_by_both_parsers(name: str) -> None:
    job = with_error(lambda error: {key: value for key, value in error.items() if key != name})
    content = json.dumps(job).encode()
    for raw in (RawJobs([job]), RawJobs(content=content, ids=["FB1"])):
        assert parse_raw([raw]).missing_fields == {f"errors.{name}"}


def test_without_the_number_of_failed_objects_a_missing_list_of_errors_is_reported() -> None:
    job = {"id": "1", "state": "Failed", "startTime": "2026-01-01T00:00:00Z", "finishTime": "2026-01-01T01:00:00Z"}
    assert parse_raw([RawJobs([job])]).missing_fields >= {"errors", "failed_number"}


CONFLICTS: dict[str, tuple[dict[str, Any], str]] = {
    "state": ({"jobState": "Failed"}, "state"),
    "id": ({"jobId": "FB2"}, "id"),
    "finish": ({"endTime": "2026-01-02T00:00:00Z"}, "finishTime"),
    "a count": ({"backupDetails": JOB["backupDetails"] | {"totalCount": 4}}, "backupDetails.total_number"),
    "zeros": ({"backupDetails": {"totalNumber": 0, "totalCount": 3}}, "backupDetails.total_number"),
    "occurrences": ({"jobErrors": [JOB["jobErrors"][0] | {"count": 9}]}, "jobErrors.number"),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_names_of_a_field_with_different_values_are_reported(name: str) -> None:
    change, place = CONFLICTS[name]
    content = json.dumps(JOB | change).encode()
    for raw in (RawJobs([JOB | change]), RawJobs(content=content, ids=["FB1"])):
        (conflict,) = parse_raw([raw]).conflicts
        assert (conflict.job_id, conflict.field) == ("FB1", place)


@pytest.mark.parametrize(
    "change",
    [
        {"jobState": "Finished", "Status": None, "jobId": "FB1", "topErrors": []},
        {"backupDetails": JOB["backupDetails"] | {"totalCount": 3, "failedCount": "1", "skippedCount": None}},
    ],
)
def test_names_of_a_field_with_equal_values_are_not_reported(change: dict[str, Any]) -> None:
    result = parse_raw([RawJobs([JOB | change])])
    assert (result.conflicts, result.unreadable, result.missing_fields) == ((), (), frozenset())


def test_an_empty_list_under_one_name_hides_no_errors_under_another() -> None:
    (job,) = parsed(JOB | {"jobErrors": [], "topErrors": JOB["jobErrors"]})
    assert job == parsed(JOB)[0]


def test_jobs_in_progress_may_lack_fields_of_finished_jobs() -> None:
    running = {"id": "1", "state": "In Progress", "startTime": "2026-01-01T00:00:00Z"}
    assert parse_raw([RawJobs([running])]).missing_fields == frozenset()
    assert parse_raw([RawJobs([])]).missing_fields == frozenset()
    assert parse_raw([RawJobs([{"id": "1", "state": "In Progress"}])]).missing_fields == {"start_time"}


def test_jobs_without_failed_objects_may_lack_errors() -> None:
    fine = {name: value for name, value in JOB.items() if name != "jobErrors"}
    fine["backupDetails"] = JOB["backupDetails"] | {"failedNumber": 0}
    assert parse_raw([RawJobs([fine])]).missing_fields == frozenset()


@pytest.mark.parametrize(
    ("fields", "value", "key"),
    [
        ({"state": 1, "STATUS": 2}, 1, "state"),
        ({"status": 2}, 2, "status"),
        ({"state": None, "Status": 2}, 2, "state"),
        ({"STATE": 3, "Status": 2}, 3, "STATE"),
        ({"state": None}, None, "state"),
        ({"State": 0}, 0, "State"),
        ({"other": 1}, None, None),
    ],
)
def test_the_first_name_with_a_value_counts(fields: dict[str, Any], value: object, key: str | None) -> None:
    assert field_of(fields, "state", "status") == value
    assert key_of(fields, "state", "status") == key
