"""Every form in which the API may send a value, and what becomes of it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from avepoint_m365.errors import BadResponseError
from avepoint_m365.records import parse_count, parse_time, read_job
from hypothesis import given
from hypothesis import strategies as st

MOMENT = datetime(2024, 12, 2, 7, 52, 25, tzinfo=UTC)
VENDOR_SAMPLE = {
    "id": "FB20241015105312327583",
    "state": "Finished",
    "startTime": "2024-12-02T07:52:25Z",
    "finishTime": "2024-12-02T07:53:04Z",
    "duration": "0.011",
    "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 16, "skippedCount": 0},
    "jobErrors": [{"isErrorCode": False, "value": "Access denied", "url": "https://x", "number": 2}],
}


@pytest.mark.parametrize(
    "text",
    [
        "2024-12-02T07:52:25Z",
        "2024-12-02T07:52:25",
        "2024-12-02 07:52:25",
        "2024-12-02T09:52:25+02:00",
        "2024-12-02T07:52:25.0000000Z",
        "2024-12-02T07:52:25.0000009+00:00",
    ],
)
def test_a_time_is_read_in_every_form_as_utc(text: str) -> None:
    assert parse_time(text) == MOMENT


def test_a_date_alone_is_midnight_utc() -> None:
    assert parse_time("2024-12-02") == datetime(2024, 12, 2, tzinfo=UTC)


@pytest.mark.parametrize("nothing", [None, "", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", " "])
def test_no_time_is_null(nothing: object) -> None:
    assert parse_time(nothing) is None


@given(
    st.datetimes(min_value=datetime(2, 1, 2), max_value=datetime(9999, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_any_moment_at_any_offset_is_read_back(moment: datetime, offset: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert parse_time(zoned.isoformat()) == zoned


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_count_is_read_from_number_string_and_back(number: int) -> None:
    assert parse_count(number) == number
    assert parse_count(str(number)) == number


@pytest.mark.parametrize("spelling", ["Number", "Count"])
def test_both_spellings_of_every_count_are_read(spelling: str) -> None:
    details = {f"total{spelling}": "4", f"failed{spelling}": 1.0}
    details |= {f"successful{spelling}": 2, f"skipped{spelling}": 1}
    assert read_job({"id": 7, "backupDetails": details}).details == {
        "total_number": 4,
        "failed_number": 1,
        "successful_number": 2,
        "skipped_number": 1,
    }


def test_the_vendors_sample_becomes_exactly_these_rows() -> None:
    record = read_job(VENDOR_SAMPLE | {"somethingNew": {"a": 1}})
    assert record.job == {
        "id": "FB20241015105312327583",
        "state": "Finished",
        "start_time": MOMENT,
        "finish_time": datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
        "duration_hours": 0.011,
    }
    assert record.details["total_number"] == 16
    assert record.errors == [
        {"error_index": 0, "is_error_code": False, "value": "Access denied", "url": "https://x", "number": 2}
    ]


@pytest.mark.parametrize("absent", [{}, {"backupDetails": None, "jobErrors": None}])
def test_absent_details_and_errors_are_fine(absent: dict[str, object]) -> None:
    record = read_job({"id": 20241015} | absent)
    assert record.id == "20241015"
    assert set(record.details.values()) == {None}
    assert record.errors == []


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("startTime", "yesterday", "startTime"),
        ("finishTime", 1733125945, "finishTime"),
        ("duration", "fast", "duration"),
        ("duration", "nan", "duration"),
        ("state", {"a": 1}, "state"),
        ("backupDetails", {"totalCount": "many"}, "backupDetails.totalCount"),
        ("backupDetails", {"totalNumber": True}, "backupDetails.totalNumber"),
        ("backupDetails", {"totalNumber": 2**63}, "backupDetails.totalNumber"),
        ("backupDetails", [1], "backupDetails"),
        ("jobErrors", {"a": 1}, "jobErrors"),
        ("jobErrors", [{"number": 1.5}], "jobErrors[0].number"),
    ],
)
def test_a_value_that_cannot_be_read_names_job_and_field(field: str, value: object, named: str) -> None:
    with pytest.raises(BadResponseError) as caught:
        read_job({"id": "FB1", field: value})
    assert "Job FB1" in str(caught.value)
    assert f"field {named} " in str(caught.value)
