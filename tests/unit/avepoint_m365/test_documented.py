"""The fast parser gives what the tolerant parser gives, or leaves the page to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.parse.jobs import read_documented
from avepoint_m365.parse.outline import outline
from avepoint_m365.parse.raw import RawJobs, Unreadable, parse_raw
from hypothesis import given, settings
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


def parse(rows: list[Any]) -> tuple[pa.Table, list[Unreadable]]:
    """Return the jobs by way of Python's JSON, and what is wrong with them."""
    parsed = RawJobs(rows, seen_at=1, now=NOW).parsed
    return parsed.jobs, sorted(parsed.unreadable)


def raw(body: dict[str, Any], **form: Any) -> tuple[RawJobs, dict[str, Any]] | None:
    """Return the jobs of a body as they stay until they are parsed, and what is around them."""
    content = json.dumps(body, **form).encode()
    found = outline(content)
    if found is None:
        return None
    jobs = RawJobs(content=content[found.begin : found.end], ids=found.ids, seen_at=1, now=NOW)
    return jobs, dict(found.around)


FORMS = [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}]


@settings(deadline=None)
@given(
    st.lists(JOBS, max_size=4),
    st.sampled_from(["jobs", "data"]),
    fields(
        totalCount=st.integers(-(2**63), 2**63 - 1),
        nextLink=st.text(),
        metadata=fields(totalNumber=st.none() | st.integers(0, 2**63 - 1)),
        errors=st.lists(st.dictionaries(st.sampled_from(["id", "message"]), st.text(), max_size=2), max_size=2),
    ),
    st.booleans(),
    st.sampled_from(FORMS[:3]),
)
def test_both_ways_give_the_same(
    jobs: list[dict[str, Any]], name: str, rest: dict[str, Any], jobs_last: bool, form: dict[str, Any]
) -> None:
    body = {**rest, name: jobs} if jobs_last else {name: jobs, **rest}
    found = raw(body, **form)
    if found is not None:
        assert (found[0].parsed.jobs, sorted(found[0].parsed.unreadable)) == parse(jobs)
        assert found[1] == {**rest, name: []}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(JOBS, min_size=1, max_size=3), max_size=5))
def test_pages_together_give_what_each_gives_by_itself(pages: list[list[dict[str, Any]]]) -> None:
    found = [outlined[0] if (outlined := raw({"jobs": jobs})) else RawJobs(jobs, seen_at=1, now=NOW) for jobs in pages]
    together, alone = parse_raw(found), [page.parsed for page in found]
    assert together.jobs == pa.concat_tables([parse_raw([]).jobs, *(page.jobs for page in alone)])
    assert sorted(together.unreadable) == sorted(problem for page in alone for problem in page.unreadable)
    assert together.missing_fields == frozenset().union(*(page.missing_fields for page in alone))


@pytest.mark.parametrize("form", FORMS)
def test_the_second_generation_goes_the_quick_way(form: dict[str, Any]) -> None:
    paging = {"totalNumber": 1, "nextLink": ""}
    answer = {"data": [VENDOR_SAMPLE], "metadata": paging, "errors": [], "timestamp": "2025-10-01T08:00:00Z"}
    found = raw(answer, **form)
    assert found is not None
    assert found[1] == {**answer, "data": []}
    assert found[0].ids == [VENDOR_SAMPLE["id"]]
    assert (found[0].parsed.jobs, []) == parse([VENDOR_SAMPLE])
    assert read_documented([found[0].content]) is not None


@pytest.mark.parametrize("form", FORMS)
def test_the_first_generation_goes_the_quick_way(form: dict[str, Any]) -> None:
    jobs = [VENDOR_SAMPLE, {**VENDOR_SAMPLE, "id": "b", "state": "ü", "finishTime": None}]
    found = raw({"jobs": jobs, "totalCount": 2, "nextLink": ""}, **form)
    assert found is not None
    assert (found[0].parsed.jobs, []) == parse(jobs)
    assert found[1] == {"jobs": [], "totalCount": 2, "nextLink": ""}


LIST_AFTER = b'{"jobs": [{"id": "a"}], "totalCount": 5, "links": [{"rel": "next"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"jobs": null}',
        b'{"jobs": []}',
        b'{"errors": []}',
        b'{"jobs": [null]}',
        b'{"jobs": [{"id": "a", "state": "\xff"}]}',
        b'{"jobs": [{"id": 5}]}',
        b'{"jobs": [{"id": "a\\u0062"}]}',
        b'{"jobs": [{"id": "a", "state": "id"}]}',
        b'{"jobs": [{"id": "a"}], "data": []}',
        b'{"jobs": [{"id": "a"}], "data": [{"id": "b"}]}',
        LIST_AFTER,
        b'{"jobs": [{"id": "a", "state": "\0"}]}',
    ],
)
def test_a_body_in_any_other_form_is_parsed_at_once(body: bytes) -> None:
    assert outline(body) is None


@pytest.mark.parametrize(
    "jobs",
    [
        b"null",
        b'{"id": "a", "jobErrors": [null]}',
        b'{"id": "a", "id": "b"}',
        b'{"id": 123456789012345678901234567890}',
        b'{"id": "a", "added": {"later": 1}}',
        b'{"id": "a"}]}{"jobs": [',
    ],
)
def test_jobs_in_any_other_form_are_left_to_the_thorough_way(jobs: bytes) -> None:
    assert read_documented([jobs]) is None


def test_a_page_that_holds_other_jobs_than_its_outline_is_reported() -> None:
    content = b'{"id": "a", "owner": {"id": "b"}}, {"id": "c"}'
    parsed = RawJobs(content=content, ids=["a", "b", "c"], now=NOW).parsed
    assert parsed.jobs["id"].to_pylist() == ["a", "c"]
    assert [problem.field for problem in parsed.unreadable] == ["id"]
    assert RawJobs(content=b'{"id": "a"}, {', ids=["a"]).parsed.unreadable


@pytest.mark.parametrize("field", ["state", "startTime", "finishTime", "duration", "backupDetails", "jobErrors"])
def test_a_field_that_one_page_lacks_is_reported_whichever_way_it_goes(field: str) -> None:
    job = VENDOR_SAMPLE | {"backupDetails": {"totalNumber": 3, "failedNumber": 2}}
    without = {name: value for name, value in job.items() if name != field}
    pages = [raw({"jobs": [job]}), raw({"jobs": [without]}), raw({"jobs": [job]})]
    found = [page[0] for page in pages if page]
    assert len(found) == 3
    expected = RawJobs([without], now=NOW).parsed.missing_fields
    assert parse_raw(found).missing_fields == expected
    assert parse_raw([found[0]]).missing_fields == RawJobs([job]).parsed.missing_fields
