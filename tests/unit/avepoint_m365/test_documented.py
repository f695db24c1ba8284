"""The quick way of reading answers gives what the thorough way gives, or stands aside."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.parse.jobs import read_documented
from avepoint_m365.parse.raw import RawJobs, Unreadable
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.avepoint_m365.test_records import VENDOR_SAMPLE

TIMES = ["2024-12-02T07:52:25Z", "2024-12-02T07:52:25.5Z", "2024-12-02T09:52:25+02:00", "2024-12-02", "", None]
RARE_TIMES = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "soon", 5]
TEXTS = ["Finished", "", "ü \U0001f600", 'a "quoted" \\ text', None]
RARE_TEXTS = ["a\0b", "cut \ud83d", 4, True, ["a"], "1"]
COUNTS = [0, 7, -1, 2**63 - 1, None]
RARE_COUNTS = ["7", "", 7.0, 7.5, 2**63, 10**30, True]


def mostly(usual: list[Any], rare: list[Any]) -> st.SearchStrategy[Any]:
    """Draws what is rare seldom enough that whole answers are often without it."""
    return st.integers(0, 30).flatmap(lambda number: st.sampled_from(rare if number == 30 else usual))


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


ERRORS = fields(
    isErrorCode=mostly([True, False, None], ["true", 0]),
    value=mostly(TEXTS, RARE_TEXTS),
    url=mostly(TEXTS, RARE_TEXTS),
    number=mostly(COUNTS, RARE_COUNTS),
)
DETAILS = fields(
    totalNumber=mostly(COUNTS, RARE_COUNTS),
    totalCount=mostly(COUNTS, RARE_COUNTS),
    failedCount=mostly(COUNTS, RARE_COUNTS),
    new=mostly([1], ["x"]),
)
JOBS = fields(
    state=mostly(TEXTS, RARE_TEXTS),
    startTime=mostly(TIMES, RARE_TIMES),
    finishTime=mostly(TIMES, RARE_TIMES),
    duration=mostly(["0.011", "1", "", None], [0.5, "nan", " 1", "1_0"]),
    backupDetails=st.none() | DETAILS,
    jobErrors=st.none() | st.lists(ERRORS, max_size=3),
).flatmap(lambda job: mostly([{}], [{"new": "2024-12-02"}, {"id": None}]).map(lambda more: {"id": "a", **job, **more}))


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def parse(rows: Any) -> tuple[pa.Table, list[Unreadable]]:
    """Return the jobs, and what is wrong with them."""
    parsed = RawJobs(rows, seen_at=1, now=NOW).parsed
    return parsed.jobs, sorted(parsed.unreadable)


@given(
    st.lists(JOBS, max_size=4),
    st.sampled_from(["jobs", "data"]),
    fields(
        totalCount=st.integers(-(2**63), 2**63 - 1),
        nextLink=st.text(),
        metadata=fields(totalNumber=st.none() | st.integers(0, 2**63 - 1)),
    ),
)
def test_both_ways_give_the_same(jobs: list[dict[str, Any]], name: str, rest: dict[str, Any]) -> None:
    body = {name: jobs, **rest}
    read = read_documented(json.dumps(body).encode())
    if read is not None:
        assert parse(read[name]) == parse(jobs)
        for field, value in rest.items():
            assert (read.get(field) or None) == (value or None)


def test_the_second_generation_goes_the_quick_way() -> None:
    paging = {"totalNumber": 1, "nextLink": ""}
    answer = {"data": [VENDOR_SAMPLE], "metadata": paging, "errors": [], "timestamp": "2025-10-01T08:00:00Z"}
    read = read_documented(json.dumps(answer).encode())
    assert read is not None
    assert {**read, "data": None} == {**answer, "data": None}


def test_the_documented_form_goes_the_quick_way() -> None:
    answer = {"jobs": [VENDOR_SAMPLE, {**VENDOR_SAMPLE, "finishTime": None}], "totalCount": 2, "nextLink": ""}
    read = read_documented(json.dumps(answer, indent=2).encode())
    assert read is not None
    assert parse(read["jobs"]) == parse(answer["jobs"])
    assert (read["totalCount"], read["nextLink"]) == (2, "")


@pytest.mark.parametrize("moment", ["0000-01-01", "2025-10-01T08:00:00Z"])
def test_what_looks_like_a_time_around_the_jobs_is_read_as_it_is(moment: str) -> None:
    """Arrow makes times of such texts: Python knows no year 0, and a link that is none ends paging too early."""
    answer = {"data": [VENDOR_SAMPLE], "timestamp": moment, "nextLink": moment, "metadata": {"nextLink": moment}}
    read = read_documented(json.dumps(answer).encode())
    if read is not None:
        assert {**read, "data": None} == {**answer, "data": None}
        assert parse(read["data"]) == parse(answer["data"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"jobs": null}',
        b'{"errors": []}',
        b'{"jobs": [null]}',
        b'{"jobs": [{"id": "a", "jobErrors": [null]}]}',
        b'{"jobs": [{"id": "a", "state": "\xff"}]}',
        b'{"jobs": [{"id": "a", "id": "b"}]}',
        b'{"jobs": [{"id": 123456789012345678901234567890}]}',
        b'{"jobs": [{"id": "a", "added": {"later": 1}}]}',
        b'{"jobs": []}{"jobs": []}',
        b'{"jobs": [], "data": []}',
    ],
)
def test_any_other_form_is_left_to_the_thorough_way(body: bytes) -> None:
    assert read_documented(body) is None
