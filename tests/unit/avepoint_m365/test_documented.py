"""Test that the fast parser returns the rows of the tolerant parser, or leaves the page to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from avepoint_m365.parse import raw as raw_module
from avepoint_m365.parse.depth import DEEPEST, is_too_deep
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
    """Draw rare values so seldom that many responses have none."""
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
    """Return the jobs as Python's JSON parser reads them, and their problems."""
    parsed = parse_raw([RawJobs(rows, seen_at=1, now=NOW)])
    return parsed.jobs, sorted(parsed.unreadable)


def raw(body: dict[str, Any], **form: Any) -> tuple[RawJobs, dict[str, Any]] | None:
    """Return the unparsed jobs of a body, and the fields around them; None if the body has no outline."""
    content = json.dumps(body, **form).encode()
    result = outline(content)
    if result is None:
        return None
    jobs = RawJobs(content=result.jobs, ids=result.ids, seen_at=1, now=NOW)
    return jobs, dict(result.surroundings.around)


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
def test_both_parsers_return_the_same_rows(
    jobs: list[dict[str, Any]], name: str, rest: dict[str, Any], jobs_last: bool, form: dict[str, Any]
) -> None:
    body = {**rest, name: jobs} if jobs_last else {name: jobs, **rest}
    result = raw(body, **form)
    if result is not None:
        parsed = parse_raw(result[:1])
        assert (parsed.jobs, sorted(parsed.unreadable)) == parse(jobs)
        assert result[1] == {**rest, name: []}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(JOBS, min_size=1, max_size=3), max_size=5))
def test_parsing_pages_together_gives_the_same_rows_as_parsing_each_page(pages: list[list[dict[str, Any]]]) -> None:
    results = [
        outlined[0] if (outlined := raw({"jobs": jobs})) else RawJobs(jobs, seen_at=1, now=NOW) for jobs in pages
    ]
    together, alone = parse_raw(results), [parse_raw([page]) for page in results]
    assert together.jobs == pa.concat_tables([parse_raw([]).jobs, *(page.jobs for page in alone)])
    assert sorted(together.unreadable) == sorted(problem for page in alone for problem in page.unreadable)
    assert together.missing_fields == frozenset().union(*(page.missing_fields for page in alone))


@pytest.mark.parametrize("form", FORMS)
def test_the_fast_parser_reads_the_second_generation(form: dict[str, Any]) -> None:
    paging = {"totalNumber": 1, "nextLink": ""}
    answer = {"data": [VENDOR_SAMPLE], "metadata": paging, "errors": [], "timestamp": "2025-10-01T08:00:00Z"}
    result = raw(answer, **form)
    assert result is not None
    assert result[1] == {**answer, "data": []}
    assert result[0].ids == [VENDOR_SAMPLE["id"]]
    assert (parse_raw(result[:1]).jobs, []) == parse([VENDOR_SAMPLE])
    assert read_documented([result[0].content]) is not None


@pytest.mark.parametrize("form", FORMS)
def test_the_fast_parser_reads_the_first_generation(form: dict[str, Any]) -> None:
    jobs = [VENDOR_SAMPLE, {**VENDOR_SAMPLE, "id": "b", "state": "ü", "finishTime": None}]
    result = raw({"jobs": jobs, "totalCount": 2, "nextLink": ""}, **form)
    assert result is not None
    assert (parse_raw(result[:1]).jobs, []) == parse(jobs)
    assert result[1] == {"jobs": [], "totalCount": 2, "nextLink": ""}


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
        b'{"jobs": [{"id": ""}]}',
        b'{"jobs": [{"id": "a"}, {"id":"b"}]}',
        b'{"jobs": [{"id": "a", "state": "Failed"}, {"id":"b", "state": "Failed"}]}',
        b'{"jobs": [{"id": "a", "state": "Failed"}, {"id": null, "state": "Failed"}]}',
        b'{"jobs": [{"id": "a", "url": "id"}]}',
        b'{"jobs": [{"id": "a"}], "data": []}',
        b'{"jobs": [{"id": "a"}], "data": [{"id": "b"}]}',
        LIST_AFTER,
        b'{"jobs": [{"id": "a", "state": "\0"}]}',
        b'{"errors": [{"id": "b"}], "jobs": [{"id": "a"}, 5]}',
        b'{"jobs": [{"id": "a"}, 5]}',
        b'{"jobs": [{"id": "a"}], "totalCount": }',
        b'[{"jobs": [{"id": "a"}]}]',
        b'[0, "jobs": [{"id": "a"}]]',
        b'{"jobs": [{"id": "a", "state": "Failed", "jobErrors": [{"id": "x"}]}, {"id": "b", "state": "Finished"}]}',
        b'{"jobs": [{"id": "a", "state": "Failed", "backupDetails": {"id": "x", "totalNumber": 1}}]}',
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
        b'{"id": ""}',
        b'{"id": null}',
        b'{"state": "Finished"}',
        b'{"id": "a", "state": "\xff"}',
    ],
)
def test_jobs_in_other_forms_are_left_to_the_tolerant_parser(jobs: bytes) -> None:
    assert read_documented([jobs]) is None


@pytest.mark.parametrize("levels", [101, 100_000])
@pytest.mark.parametrize("level", [(b"[", b"]"), (b'{"a": [', b"]}"), (b'{"backupDetails": [', b"]}")])
@pytest.mark.parametrize(
    "job",
    [
        b"%s",
        b'{"id": %s}',
        b'{"id": "a", "added": %s}',
        b'{"id": "a", "backupDetails": %s}',
        b'{"id": "a", "backupDetails": {"added": %s}}',
        b'{"id": "a", "jobErrors": %s}',
        b'{"id": "a", "jobErrors": [{"value": %s}]}',
    ],
)
def test_deep_json_neither_ends_the_process_nor_is_a_job(job: bytes, level: tuple[bytes, bytes], levels: int) -> None:
    deep = job % (level[0] * levels + level[1] * levels)
    assert read_documented([b'{"id": "b"}', deep]) is None
    parsed = parse_raw([RawJobs(content=b'{"id": "b"}', ids=["b"]), RawJobs(content=deep, ids=["a"])])
    assert parsed.jobs["id"].to_pylist() == ["b"]
    assert [problem.field for problem in parsed.unreadable] == ["id"]


def test_deep_json_around_the_jobs_is_left_to_the_tolerant_parser() -> None:
    body = b'{"errors": %s, "jobs": [{"id": "a"}]}' % (b"[" * 101 + b"]" * 101)
    assert outline(body) is None


def test_a_page_that_holds_other_jobs_than_its_outline_is_reported() -> None:
    content = b'{"id": "a", "owner": {"id": "b"}}, {"id": "c"}'
    parsed = parse_raw([RawJobs(content=content, ids=["a", "b", "c"], now=NOW)])
    assert parsed.jobs["id"].to_pylist() == ["a", "c"]
    assert [problem.field for problem in parsed.unreadable] == ["id"]
    assert parse_raw([RawJobs(content=b'{"id": "a"}, {', ids=["a"])]).unreadable


@pytest.mark.parametrize("field", ["state", "startTime", "finishTime", "duration", "backupDetails", "jobErrors"])
def test_both_parsers_report_a_field_that_a_page_lacks(field: str) -> None:
    job = VENDOR_SAMPLE | {"backupDetails": {"totalNumber": 3, "failedNumber": 2}}
    without = {name: value for name, value in job.items() if name != field}
    pages = [raw({"jobs": [job]}), raw({"jobs": [without]}), raw({"jobs": [job]})]
    results = [page[0] for page in pages if page]
    assert len(results) == 3
    expected = parse_raw([RawJobs([without], now=NOW)]).missing_fields
    assert parse_raw(results).missing_fields == expected
    assert parse_raw([results[0]]).missing_fields == parse_raw([RawJobs([job])]).missing_fields


@pytest.mark.parametrize(("before", "after", "is_outlined"), [(30_000, 30_000, True), (40_000, 40_000, False)])
def test_a_body_with_more_than_64_kb_around_its_jobs_is_parsed_at_once(
    before: int, after: int, is_outlined: bool
) -> None:
    jobs = [{"id": str(number), "state": "x" * 1000} for number in range(100)]
    body = {"first": "x" * before, "jobs": jobs, "last": "x" * after}
    assert (raw(body) is not None) == is_outlined


def test_an_outline_holds_the_ids_and_where_the_jobs_lie() -> None:
    content = b'{"totalCount": 2, "data" : [ {"id" : "a"}, {"id" : "\xc3\xbc"}\r\n ], "request": {"id": "r"}}'
    result = outline(content)
    assert result is not None
    assert (result.ids, result.surroundings.container) == (["a", "\u00fc"], "data")
    assert result.jobs == b' {"id" : "a"}, {"id" : "\xc3\xbc"}\r\n '
    assert content[result.surroundings.begin : result.surroundings.end] == result.jobs
    assert result.surroundings.around == {"totalCount": 2, "data": [], "request": {"id": "r"}}


def test_ids_are_found_in_pages_of_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a page anywhere: within an id, within a job, and between jobs."""
    jobs = [{"id": f"job{number}", "state": "Failed", "jobErrors": [{"value": "x" * number}]} for number in range(9)]
    content = json.dumps({"jobs": jobs}).encode()
    for size in range(1, len(content)):
        monkeypatch.setattr("avepoint_m365.parse.outline._PIECE", size)
        result = outline(content)
        assert result is not None
        assert result.ids == [f"job{number}" for number in range(9)]


def test_the_text_id_is_no_id() -> None:
    result = outline(b'{"jobs": [{"id": "id", "state": "id"}]}')
    assert result is not None
    assert result.ids == ["id"]


def test_jobs_without_an_id_have_an_outline_without_ids() -> None:
    result = outline(b'{"jobs": [{"state": "Finished"}]}')
    assert result is not None
    assert result.ids == []


def test_the_fast_parser_reads_pages_of_many_megabytes() -> None:
    """Test large objects: by default, Arrow reads a megabyte at a time, and an object must fit in it."""
    jobs = [{"id": str(number), "state": "x" * 1000} for number in range(3000)]
    content = json.dumps(jobs).encode()[1:-1]
    lists = read_documented([content, b'{"id": "last"}'])
    assert lists is not None
    assert lists.flatten().field("id").to_pylist() == [*(job["id"] for job in jobs), "last"]


DETAILS_PRESENT = {"totalNumber": 3, "failedNumber": 0, "successfulCount": 3, "skippedCount": 0}
RUNNING = {"id": "r", "state": "In Progress", "startTime": "2024-12-02T07:52:25Z"}
FINISHED = VENDOR_SAMPLE | {"id": "f", "backupDetails": DETAILS_PRESENT}
FAILED = VENDOR_SAMPLE | {"id": "x", "backupDetails": DETAILS_PRESENT | {"failedNumber": 2}}


def without(job: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in names}


@pytest.mark.parametrize(
    ("pages", "missing"),
    [
        ([[FINISHED]], set()),
        # A count that is null in all jobs still has a field, under either name.
        ([[FINISHED | {"backupDetails": {**DETAILS_PRESENT, "totalNumber": None, "skippedCount": None}}]], set()),
        ([[FINISHED | {"backupDetails": without(DETAILS_PRESENT, "totalNumber")}]], {"total_number"}),
        ([[FINISHED | {"backupDetails": without(DETAILS_PRESENT, "skippedCount")}]], {"skipped_number"}),
        # Each page is checked by its own jobs, not by those of later pages.
        ([[FINISHED], [without(FINISHED, "jobErrors")], [FAILED]], set()),
        ([[FINISHED], [without(FAILED, "jobErrors")], [FAILED]], {"errors"}),
        ([[FINISHED], [RUNNING], [FINISHED]], set()),
        ([[RUNNING], [without(FINISHED, "duration")], [RUNNING]], {"duration_hours"}),
        ([[without(RUNNING, "startTime")], [FINISHED]], {"start_time"}),
    ],
)
def test_missing_fields_are_determined_per_page(pages: list[list[Any]], missing: set[str]) -> None:
    results = [outlined[0] for page in pages if (outlined := raw({"jobs": page}))]
    assert len(results) == len(pages)
    assert read_documented([page.content for page in results]) is not None
    assert parse_raw(results).missing_fields == missing
    assert frozenset().union(*(parse_raw([RawJobs(page, now=NOW)]).missing_fields for page in pages)) == missing


@pytest.mark.parametrize(
    ("content", "ids", "value"),
    [
        (b'{"id": "a"}', ["b", "c"], """2 ids on the page, 1 job; b'{"id": "a"}'"""),
        (b'{"id": "a", "new": 1}', ["a", "b"], """2 ids on the page, 1 job; b'{"id": "a", "new": 1}'"""),
        (
            b'{"id": "a"}, ' * 9 + b"null",
            ["a"],
            """1 id on the page, 9 jobs; b'""" + '{"id": "a"}, ' * 4 + """{"id": "'""",
        ),
    ],
)
def test_the_report_of_other_jobs_counts_both_and_shows_the_beginning(
    content: bytes, ids: list[str], value: str
) -> None:
    unreadable = parse_raw([RawJobs(content=content, ids=ids, now=NOW)]).unreadable
    assert ("", "id", value) in unreadable


def test_what_a_report_shows_is_redacted() -> None:
    pages = [
        RawJobs(content=b'{"id": "a", "startTime": "token"}', ids=["a"], now=NOW, redact=str.upper),
        RawJobs([{"id": "a", "startTime": "token"}], now=NOW, redact=str.upper),
    ]
    for page in pages:
        assert list(parse_raw([page]).unreadable) == [("a", "startTime", "'TOKEN'")]


def test_both_parsers_report_an_impossible_finish() -> None:
    job = VENDOR_SAMPLE | {"finishTime": "2031-01-01T00:00:00Z"}
    result = raw({"jobs": [job]})
    assert result is not None
    expected = [(VENDOR_SAMPLE["id"], "finishTime", "2031-01-01 00:00:00.000000Z")]
    assert list(parse_raw(result[:1]).unreadable) == list(parse_raw([RawJobs([job], now=NOW)]).unreadable) == expected


def test_control_characters_in_a_text_are_read() -> None:
    page = RawJobs(content=b'{"id": "a", "new": "tab\there"}', ids=["a"], now=NOW)
    assert parse_raw([page]).jobs["unknown_fields"].to_pylist() == [json.dumps({"new": "tab\there"})]
    assert parse_raw([page]).unreadable == ()


def test_a_job_that_is_twice_on_a_page_is_once_in_it_and_on_two_pages_twice() -> None:
    older = VENDOR_SAMPLE | {"id": "a", "finishTime": "2024-12-02T07:52:30Z"}
    newer = VENDOR_SAMPLE | {"id": "a", "finishTime": "2024-12-02T07:52:40Z"}
    results = [outlined[0] for page in ([newer, older], [older]) if (outlined := raw({"jobs": page}))]
    table = parse_raw(results).jobs
    assert [moment.second for moment in table["finish_time"].to_pylist()] == [40, 30]
    assert table["seen_at"].to_pylist() == [1, 1]


def test_a_job_that_is_twice_on_a_page_leaves_the_jobs_of_later_pages_alone() -> None:
    ids = [["a", "b"], ["c", "c"], ["d", "e"]]
    results = [outlined[0] for page in ids if (outlined := raw({"jobs": [FINISHED | {"id": name} for name in page]}))]
    assert parse_raw(results).jobs["id"].to_pylist() == ["a", "b", "c", "d", "e"]


def test_pages_of_json_are_parsed_together_up_to_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    def read_batch(pages: list[bytes]) -> pa.ListArray | None:
        batches.append([json.loads(page)["id"] for page in pages])
        return read_documented(pages)

    pages = [RawJobs(content=json.dumps(FINISHED | {"id": name}).encode(), ids=[name], now=NOW) for name in "abcdefgh"]
    monkeypatch.setattr(raw_module, "read_documented", read_batch)
    monkeypatch.setattr(raw_module, "BATCH", 3 * len(pages[0].content))
    objects = RawJobs([FINISHED | {"id": "object"}], now=NOW)
    parsed = parse_raw([*pages[:7], objects, pages[7]])
    assert batches == [["a", "b", "c"], ["d", "e", "f"], ["g"], ["h"]]
    assert parsed.jobs["id"].to_pylist() == ["a", "b", "c", "d", "e", "f", "g", "object", "h"]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("content", "too_deep"),
    [
        (b"", False),
        (nested(DEEPEST), False),
        (nested(DEEPEST + 1), True),
        (b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), True),
        (b"[]" * (DEEPEST + 1), False),
        (b'["' + b"[" * 1000 + b'"]', False),
        (b'["\\"' + b"[" * 1000 + b'"]', False),
        (b'["\\\\", ' + nested(DEEPEST) + b"]", True),
        (b'["[", ' + nested(DEEPEST - 1) + b"]", False),
        (b'["a\n' + b"{" * 1000 + b'"]', False),
        (nested(DEEPEST + 1) + b'"', True),
        # Brackets in a text without an end do not count. A search that begins again at each of its quotes is slow.
        (b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 500_000 + b"]", True),
        (b'["' + b"[" * (DEEPEST + 1) + b'\\"' * 500_000, False),
        (b'["' + b"[" * (DEEPEST + 1) + b"\\", False),
    ],
)
def test_json_is_too_deep_by_its_open_brackets_outside_of_texts(content: bytes, too_deep: bool) -> None:
    assert is_too_deep(content) is too_deep
