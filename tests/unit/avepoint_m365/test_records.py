"""Test each form in which the API may send a value, and its result."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from avepoint_m365.parse.frame import DETAIL_NAMES, SEEN_AT
from avepoint_m365.parse.raw import RawJobs, parse_raw
from avepoint_m365.parse.times import in_utc
from avepoint_m365.parse.values import parse_count, parse_flag, parse_hours, parse_text, parse_time
from hypothesis import given, settings
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


def read(raw: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = parse_raw([RawJobs([raw])]).jobs.drop_columns(SEEN_AT).to_pylist()[0]
    return row


def details_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in DETAIL_NAMES}


@pytest.mark.parametrize(
    "text",
    [
        "2024-12-02T07:52:25Z",
        "2024-12-02T07:52:25",
        "2024-12-02 07:52:25",
        "2024-12-02t07:52:25Z",
        "20241202T075225Z",
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


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [(".5", 500_000), (".000001", 1), (".0000019", 1), (".123456789", 123_456), (".1234567+00:00", 123_456)],
)
def test_a_fraction_has_six_decimals_and_is_cut(text: str, microseconds: int) -> None:
    assert parse_time(f"2024-12-02T07:52:25{text}") == MOMENT.replace(microsecond=microseconds)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the time zone of the machine to Tokyo, if the operating system permits it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_time_without_a_zone_is_utc_on_a_machine_in_any_zone() -> None:
    for moment in (MOMENT, MOMENT.replace(tzinfo=None), MOMENT.astimezone(timezone(timedelta(hours=5)))):
        assert (in_utc(moment), in_utc(moment).tzinfo) == (MOMENT, UTC)


@pytest.mark.parametrize(
    ("parse", "value", "reason"),
    [
        (parse_time, 5, "not a time"),
        (parse_time, "soon", "not a time"),
        (parse_time, "9999-12-31T23:59:59-14:00", "not a time"),
        # Python's parser reads the ninth digit as a separator: 20:00 on 30 August 1796.
        (parse_time, "1796083052000", "not a time"),
        (parse_time, "17960830", "not a time"),
        (parse_count, "\u0663", "not a whole number"),
        (parse_count, "7" * 21, "not a whole number"),
        (parse_count, True, "not a whole number"),
        (parse_count, 2**63, "not a whole number"),
        (parse_hours, [1], "not a number of hours"),
        (parse_hours, "1_0", "not a number of hours"),
        (parse_hours, "inf", "not a number of hours"),
        (parse_flag, 0, "not true or false"),
        (parse_flag, "yes", "not true or false"),
        (parse_text, True, "not a text"),
        (parse_text, ["a"], "not a text"),
    ],
)
def test_a_value_in_an_unknown_form_is_reported_with_its_expected_type(parse: Any, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse(value)


@pytest.mark.parametrize(
    ("parse", "value", "expected"),
    [
        *((parse_flag, value, True) for value in (True, "true", "TRUE", " True ")),
        *((parse_flag, value, False) for value in (False, "false", "FALSE", "False ")),
        *((parse_flag, value, None) for value in (None, "")),
        *((parse_count, value, 7) for value in (7, 7.0, "7", " +7 ")),
        *((parse_count, value, None) for value in (None, "")),
        (parse_count, "-8", -8),
        (parse_count, -(2**63), -(2**63)),
        *((parse_hours, value, None) for value in (None, "")),
        *((parse_hours, value, 1.5) for value in (1.5, "1.5", " 1.5")),
        (parse_text, 4, "4"),
        (parse_text, 4.5, "4.5"),
        (parse_text, "", ""),
        (parse_text, None, None),
    ],
)
def test_a_value_in_a_known_form_is_read(parse: Any, value: object, expected: object) -> None:
    assert parse(value) == expected
    assert type(parse(value)) is type(expected)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_count_is_read_from_number_string_and_back(number: int) -> None:
    assert parse_count(number) == number
    assert parse_count(str(number)) == number


@pytest.mark.parametrize("spelling", ["Number", "Count"])
def test_both_spellings_of_every_count_are_read(spelling: str) -> None:
    details = {f"total{spelling}": "4", f"failed{spelling}": 1.0}
    details |= {f"successful{spelling}": 2, f"skipped{spelling}": 1}
    assert details_of(read({"id": 7, "backupDetails": details})) == {
        "total_number": 4,
        "failed_number": 1,
        "successful_number": 2,
        "skipped_number": 1,
    }


def test_the_vendors_sample_becomes_exactly_these_rows() -> None:
    assert read(VENDOR_SAMPLE | {"somethingNew": {"a": 1}}) == {
        "id": "FB20241015105312327583",
        "state": "Finished",
        "start_time": MOMENT,
        "finish_time": datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
        "duration_hours": 0.011,
        "total_number": 16,
        "failed_number": 0,
        "successful_number": 16,
        "skipped_number": 0,
        "errors": [{"is_error_code": False, "value": "Access denied", "url": "https://x", "number": 2}],
        "unknown_fields": '{"somethingNew": {"a": 1}}',
    }


@pytest.mark.parametrize("absent", [{}, {"backupDetails": None, "jobErrors": None}])
def test_absent_details_and_errors_are_accepted(absent: dict[str, object]) -> None:
    record = read({"id": 20241015105312327583} | absent)
    assert record["id"] == "20241015105312327583", "more digits than fit in 64 bits"
    assert set(details_of(record).values()) == {None}
    assert record["errors"] == []


@pytest.mark.parametrize(
    ("field", "value", "named", "shown"),
    [
        ("startTime", "yesterday", "startTime", "'yesterday'"),
        ("finishTime", 1733125945, "finishTime", "1733125945"),
        ("duration", "fast", "duration", "'fast'"),
        ("duration", "nan", "duration", "'nan'"),
        ("state", {"a": 1}, "state", "{'a': 1}"),
        ("backupDetails", {"totalCount": "many"}, "backupDetails.totalCount", "'many'"),
        ("backupDetails", {"totalNumber": "", "totalCount": "many"}, "backupDetails.totalCount", "'many'"),
        ("backupDetails", {"totalNumber": None, "totalCount": "many"}, "backupDetails.totalCount", "'many'"),
        ("backupDetails", {"totalNumber": True}, "backupDetails.totalNumber", "True"),
        ("backupDetails", {"totalNumber": 2**63}, "backupDetails.totalNumber", str(2**63)),
        ("backupDetails", [1], "backupDetails", "[1]"),
        ("jobErrors", {"a": 1}, "jobErrors", "{'a': 1}"),
        ("jobErrors", [{"number": 1.5}], "jobErrors[0].number", "1.5"),
        ("jobErrors", [{"number": 1}, "denied"], "jobErrors[1]", "'denied'"),
        ("jobErrors", [{"isErrorCode": 1}], "jobErrors[0].isErrorCode", "1"),
    ],
)
def test_a_value_that_cannot_be_parsed_is_null_and_names_job_and_field(
    field: str, value: object, named: str, shown: str
) -> None:
    parsed = parse_raw([RawJobs([VENDOR_SAMPLE, {"id": "FB1", field: value}, VENDOR_SAMPLE | {"id": "FB2"}])])
    assert parsed.jobs["id"].to_pylist() == [VENDOR_SAMPLE["id"], "FB1", "FB2"]
    assert list(parsed.unreadable) == [("FB1", named, shown)]


VALUES: dict[str, tuple[Callable[[object], object], str, Sequence[object]]] = {
    "startTime": (parse_time, "start_time", [None, "", "2024-12-02T07:52:25Z", "2024-12-02T07:52:25.5Z", "2024-12-02"]),
    "finishTime": (parse_time, "finish_time", [None, "0001-01-01T00:00:00Z", "2024-12-02T09:52:25+02:00", "soon", 5]),
    "duration": (parse_hours, "duration_hours", [None, "", "0.011", " 1", 2, 0.5, "nan", "inf", "1_0", True]),
    "state": (parse_text, "state", [None, "", "Finished", "a\0b", "cut \ud83d", "\U0001f600", 4, 4.5, True, ["a"]]),
}
COUNTS = [None, "", 0, 7, "7", 7.0, 7.5, -1, True, 2**63 - 1, 2**63, "many", [1]]
FLAGS = [None, "", True, False, "TRUE", 0, "yes"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_page_parses_to_the_same_rows_as_its_single_values(data: st.DataObject) -> None:
    """Test that whole columns, which are converted at once if their form is documented, give the same rows."""
    jobs: list[dict[str, Any]] = []
    expected: list[dict[str, Any]] = []
    refused = False

    def value_of(parse: Any, value: object) -> Any:
        nonlocal refused
        try:
            return parse(value)
        except ValueError:
            refused = True

    for number in range(data.draw(st.integers(1, 4))):
        values = {field: data.draw(st.sampled_from(VALUES[field][2])) for field in VALUES}
        count, flag = data.draw(st.sampled_from(COUNTS)), data.draw(st.sampled_from(FLAGS))
        jobs.append({"id": number, **values, "backupDetails": {"failedCount": count}})
        jobs[-1]["jobErrors"] = [{"isErrorCode": flag}] * (number % 2)
        row = {VALUES[field][1]: value_of(VALUES[field][0], value) for field, value in values.items()}
        if row["duration_hours"] is None and row["start_time"] and row["finish_time"]:
            row["duration_hours"] = (row["finish_time"] - row["start_time"]) / timedelta(hours=1)
        row |= {"id": str(number), "failed_number": value_of(parse_count, count)}
        row["flags"] = [value_of(parse_flag, flag)] * 1 if number % 2 else []
        expected.append(row)
    parsed = parse_raw([RawJobs(jobs, now=datetime.max.replace(tzinfo=UTC))])
    assert bool(parsed.unreadable) == refused
    rows = parsed.jobs.to_pylist()
    for row in rows:
        row["flags"] = [error["is_error_code"] for error in row.pop("errors")]
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected


def test_characters_that_no_warehouse_stores_are_replaced_and_not_null() -> None:
    row = read({"id": "1", "state": "a\0b", "jobErrors": [{"value": "cut \ud83d"}, {"value": "whole \U0001f600"}]})
    assert row["state"] == "a\ufffdb"
    assert [error["value"] for error in row["errors"]] == ["cut \ufffd", "whole \U0001f600"]


def test_unknown_fields_are_stored_as_json_that_every_warehouse_accepts() -> None:
    added = {"cut\0": "a\ud83d", "more": [1.5, None, True, float("nan"), {"far": [float("inf"), 10**30, "\U0001f600"]}]}
    (remaining,) = parse_raw([RawJobs([{"id": "1", **added}])]).jobs["unknown_fields"].to_pylist()
    assert remaining == json.dumps(
        {"cut\ufffd": "a\ufffd", "more": [1.5, None, True, None, {"far": [None, 10**30, "\U0001f600"]}]}
    )


@pytest.mark.parametrize(
    ("length", "shown"),
    [(118, "'" + "x" * 118 + "'"), (119, "'" + "x" * 116 + "..."), (500, "'" + "x" * 116 + "...")],
)
def test_a_value_is_shown_with_at_most_120_characters(length: int, shown: str) -> None:
    (problem,) = parse_raw([RawJobs([{"id": "FB1", "startTime": "x" * length}])]).unreadable
    assert problem == ("FB1", "startTime", shown)
    assert len(shown) <= 120


def test_the_place_of_an_error_is_counted_within_its_job() -> None:
    def job(job_id: str, *numbers: object) -> dict[str, Any]:
        return {"id": job_id, "jobErrors": [{"number": number, "value": "x"} for number in numbers]}

    parsed = parse_raw([RawJobs([job("a", 1, "many"), job("b"), job("c", "few"), job("d", 1, 2, 3, "all")])])
    assert [problem[:2] for problem in parsed.unreadable] == [
        ("a", "jobErrors[1].number"),
        ("c", "jobErrors[0].number"),
        ("d", "jobErrors[3].number"),
    ]
    assert [[error["number"] for error in errors] for errors in parsed.jobs["errors"].to_pylist()] == [
        [1, None],
        [],
        [None],
        [1, 2, 3, None],
    ]
