"""Check properties that are true for any bytes from a server: valid rows or an error of ours, and equal parsers.

Each property creates a case from bytes. These come from a fuzzer, from hypothesis or from the file of a failed case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import requests
from avepoint_m365.api import responses
from avepoint_m365.api.auth import Bearer, Secret, TokenCache
from avepoint_m365.api.body import describe, is_truncated, server_time
from avepoint_m365.api.page import PageInfo
from avepoint_m365.api.pagination import Pager
from avepoint_m365.api.responses import JsonBody, PageContent, read_body, read_job, read_page
from avepoint_m365.api.retry import retry_after
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.api.transport import Transport
from avepoint_m365.companions.base import Answers, Ask, Context
from avepoint_m365.companions.registry import COMPANIONS
from avepoint_m365.endpoints import CLOUD_BACKUP_JOBS, JOBS, EndpointVersion, ParameterSpelling
from avepoint_m365.exceptions import SourceError
from avepoint_m365.parse.columns import COUNTS, HOURS, TEXTS, TIMES, FieldParser
from avepoint_m365.parse.names import DETAIL_SPELLINGS, ERROR_SPELLINGS, JOB_SPELLINGS
from avepoint_m365.parse.raw import RawJobs, parse_raw
from avepoint_m365.rows import detail_rows, error_rows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_MESSAGE = 4000
MOST_REQUESTS = 5000
MOST_CHECKED = 50
LONGEST_WAIT = 300.0

THIRD = EndpointVersion(
    "third", "/jobs", rows=("items",), paging=("page",), totals=("count",), cursors=("token",),
    parameters={"pageIndex": "skip", "startTime": "from"},
)  # fmt: skip
VERSIONS = (JOBS, CLOUD_BACKUP_JOBS, THIRD)

STATUSES = (*[200] * 12, 204, 302, 400, 401, 403, 404, 418, 429, 500, 503, 504)
TYPES = (None, "application/json", "application/json; charset=utf-16", "text/html; charset=klingon", "text/html")

KEYS = (
    *(name for names in (JOB_SPELLINGS, DETAIL_SPELLINGS, ERROR_SPELLINGS) for each in names.values() for name in each),
    *(
        "jobs",
        "data",
        "items",
        "metadata",
        "page",
        "totalNumber",
        "totalCount",
        "count",
        "nextLink",
        "token",
        "message",
    ),
    *("errors", "error", "statusCode", "field", "serviceType", "retentionPeriod", "servicePolicies", "frequency"),
    *("containerPolicies", "containerId", "containerName", "unassignedObjectRetentionPeriod", "backupStartTime"),
    *("outOfPolicyTime", "purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize"),
    *("potentialRansomwareAttackCount", "unusualActivitiesCount", "tenantId", "tenantOwner", "ID", "State"),
    *("enableDailyRetentionPolicy", "enableCustomizedRetentionPolicy", "", "a\0b", "\ud800", "ı", "new"),
)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**18, 10**400, 0.5, 1.0, 1e308),
    *(float("nan"), float("inf"), -0.0, "", " ", "0", "7", "a", "A", "1e5", "0x10", "1_0", "nan", "٣", "²", "7" * 25),
    *("9" * 5000, "Finished", "In Progress", "Failed", "2024-12-02T07:52:25Z", "2024-12-02T07:52:25.1234567+14:00"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2024-12-02", "20241202", "2024-W49-1", "9:00 AM", "25:00"),
    *("1 years", "99999999999999999999 years", "Unlimited", "a\0b", "cut \ud83d", "\udc00\ud800", "\u202eevil", "<b>"),
    *(
        "?pageIndex=2",
        "http://[::1",
        "file:///etc/passwd",
        "?pageIndex=9" * 3,
        "?pageIndex=%ff&PAGESIZE=9",
        "//x?a=\ud800",
    ),
    *("\U0001f600", "=1+1", "x" * 300, 1_700_000_000, 1_700_000_000_000, 638_000_000_000_000_000, 1e300, -5.5),
)

HEADERS = (
    *("", "0", "5", "-5", "3600", "1e400", "nan", "9" * 5000, "0x5", "\xb2", "1_0", "Wed, 21 Oct 2065 07:28:00 GMT"),
    *(
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 1 Jan 0001 00:00:00 +2359",
        "infinity",
    ),
)


@dataclass
class Draw:
    """Turn bytes into choices; after the last byte, each choice is the first."""

    data: bytes
    at: int = 0

    def byte(self) -> int:
        """Return the next byte."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def pick(self, choices: Sequence[Any]) -> Any:
        """Return an element of a list."""
        number = self.byte() if len(choices) < 256 else self.byte() * 256 + self.byte()
        return choices[number % len(choices)]

    def rest(self) -> bytes:
        """Return the remaining bytes, and move to their end."""
        left, self.at = self.data[self.at :], max(self.at, len(self.data))
        return left

    def text(self, most: int = 40) -> str:
        """Return a text of any characters, halves of surrogate pairs included."""
        count = self.byte() % most
        part, self.at = self.data[self.at : self.at + count], self.at + count
        return part.decode("utf-8", "surrogateescape" if self.byte() % 2 else "replace")

    def value(self, depth: int = 4) -> Any:
        """Return any JSON value, with keys and scalars that the API sends, and with others."""
        kind = self.byte() % 16
        if kind < 9 or depth == 0:
            return self.pick(SCALARS)
        if kind < 11:
            return self.text()
        if kind < 13:
            return [self.value(depth - 1) for _ in range(self.byte() % 5)]
        return {self.pick(KEYS): self.value(depth - 1) for _ in range(self.byte() % 6)}

    def job(self) -> Any:
        """Return a job that mostly follows the documentation."""
        job: dict[str, Any] = {
            "id": self.pick(["a", "b", "c", "d"]), "state": "Finished", "startTime": "2024-12-02T07:52:25Z",
            "finishTime": "2024-12-02T07:53:04Z", "duration": "0.011",
            "backupDetails": {"totalCount": 16, "failedCount": 1}, "jobErrors": [{"value": "denied", "number": 2}],
        }  # fmt: skip
        for _ in range(self.byte() % 4):
            job[self.pick(KEYS)] = self.value()
        return job if self.byte() % 16 else self.value()

    def body(self) -> Any:
        """Return a body that is mostly a page of jobs."""
        if self.byte() % 8 == 7:
            return self.value()
        body = {self.pick(["jobs", "data", "items"]): [self.job() for _ in range(self.byte() % 5)]}
        around = {self.pick(KEYS): self.value() for _ in range(self.byte() % 5)}
        return {**around, **body} if self.byte() % 2 else {**body, **around}

    def encoded(self) -> bytes:
        """Return a body as bytes: raw bytes, or JSON in several encodings, sometimes with a few bytes replaced."""
        form = self.byte() % 8
        if form == 0:
            # Only long bodies show an input that needs too much time or memory for its length.
            repeated, middle = int(self.pick([1, 1, 128, 2000])), self.byte()
            raw = self.rest()
            return raw[:middle] * min(repeated, 128) + raw[middle:] * repeated
        ascii_only, indent = bool(form % 2), 2 if form == 4 else None
        text = json.dumps(self.body(), ensure_ascii=ascii_only, indent=indent)
        content = bytearray(text.encode(self.pick(["utf-8"] * 6 + ["utf-8-sig", "utf-16"]), "surrogatepass"))
        if form >= 6:
            for _ in range(self.byte() % 4):
                place, count = (self.byte() * 256 + self.byte()) % (len(content) + 1), self.byte() % 4
                content[place : place + count] = bytes([self.byte()] * (self.byte() % 3))
        return bytes(content)

    def response(self) -> requests.Response:
        """Return a response whose body is complete."""
        response = requests.Response()
        response.status_code = self.pick(STATUSES)
        if kind := self.pick(TYPES):
            response.headers["Content-Type"] = kind
            response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response._content = self.encoded()
        return response


def check_error(error: SourceError) -> None:
    """Check that the message of an error is short enough to read, and can be printed and stored."""
    text = str(error)
    assert text
    assert len(text) <= LONGEST_MESSAGE, f"a message of {len(text)} characters"
    assert "\0" not in text.encode().decode(), "NUL in a message"


def pages(data: bytes) -> None:
    """Read any answer as a page: jobs that can be stored, or an error of ours; both parsers give the same."""
    draw = Draw(data)
    version, response = draw.pick(VERSIONS), draw.response()
    is_truncated(response)
    where = describe(version.path, {"pageSize": "500"}, response)
    try:
        content = read_page(version, where, response)
    except SourceError as error:
        check_error(error)
        return
    raw = RawJobs(content.rows, content.content, content.info.ids, seen_at=1, now=NOW)
    _check_jobs(raw)
    assert len(content.info.errors) <= LONGEST_MESSAGE
    content.info.errors.encode()
    if content.content:
        _check_against_the_tolerant_parser(version, where, response, content, raw)


def _check_jobs(raw: RawJobs) -> None:
    parsed = parse_raw([raw])
    jobs = parsed.jobs
    jobs.validate(full=True)
    for problem in parsed.unreadable:
        " ".join(problem).encode()
        assert len(problem.value) <= 300
    for table in (jobs, detail_rows(jobs, "t"), error_rows(jobs, "t")):
        table.validate(full=True)
    assert all(row["id"] for row in jobs.to_pylist())
    assert "\0" not in repr(jobs.to_pylist()).replace("\\x00", "\0")


def _check_against_the_tolerant_parser(
    version: EndpointVersion, where: str, response: requests.Response, content: PageContent, raw: RawJobs
) -> None:
    fast = parse_raw([raw])
    if any(problem[:2] == ("", "id") for problem in fast.unreadable):
        # A job has an id that paging has read differently; the load reports it.
        return
    with patch.object(responses, "outline", lambda content: None):
        slow = read_page(version, where, response)
    tolerant = parse_raw([RawJobs(slow.rows, slow.content, slow.info.ids, seen_at=1, now=NOW)])
    assert (list(content.info.ids), content.info.total, content.info.next_link, content.info.errors) == (
        *(list(slow.info.ids), slow.info.total, slow.info.next_link, slow.info.errors),
    )
    assert fast.jobs == tolerant.jobs, "the parsers differ"
    assert sorted(fast.unreadable) == sorted(tolerant.unreadable), "the reports differ"
    assert fast.missing_fields == tolerant.missing_fields, "the missing fields differ"
    other = RawJobs(content=b'{"id": "z", "state": "Finished"}', ids=["z"], seen_at=2, now=NOW)
    together = parse_raw([raw, other, raw]).jobs
    assert together == pa.concat_tables([fast.jobs, parse_raw([other]).jobs, fast.jobs]), "batches differ"


def single_jobs(data: bytes) -> None:
    """Read any answer as a single job."""
    draw = Draw(data)
    response = draw.response()
    try:
        rows = read_job(CLOUD_BACKUP_JOBS, "GET /job", response)
    except SourceError as error:
        check_error(error)
        return
    _check_jobs(RawJobs(rows, ids=["a"], seen_at=1, now=NOW))


def links(data: bytes) -> None:
    """Follow any links and totals: the filters stay the same, each request can be sent, and paging ends."""
    draw = Draw(data)
    version = draw.pick(VERSIONS)
    filters = {"startTime": "2026-01-01T00:00:00Z", "objectType": "0"}
    pager = Pager(filters, draw.pick([500, 10, 1]))
    waiting, sent = pager.first(draw.pick([None, "0", "1"])), 0
    while waiting:
        for params in waiting:
            sent += 1
            assert sent <= MOST_REQUESTS, "paging does not end"
            if sent <= MOST_CHECKED:
                _check_request(version, filters, params)
            page = _page(draw, version)
            new = set(page.ids) - pager.seen_ids
            pager.seen_ids |= new
            pager.add(page, len(new))
        waiting = pager.next()


def _page(draw: Draw, version: EndpointVersion) -> PageInfo:
    link = draw.pick([None, "", "?pageIndex=1", draw.text(), "https://x/y?" + draw.text(), draw.pick(SCALARS)])
    total = draw.pick([None, 0, 3, 10**18, -1, 7])
    ids = [f"{draw.byte() % 32}" for _ in range(draw.byte() % 6)]
    link = link if isinstance(link, str) else None
    body = {version.rows[0]: [{"id": each} for each in ids], version.totals[0]: total, version.links[0]: link}
    if version.cursors:
        body[version.cursors[0]] = draw.pick([None, "", draw.text()])
    response = requests.Response()
    response.status_code, response._content = 200, json.dumps(body).encode()
    return read_page(version, "GET /jobs", response).info


def _check_request(version: EndpointVersion, filters: Mapping[str, str], params: Mapping[str, str]) -> None:
    assert filters.items() <= params.items()
    named = [name.lower() for name in params]
    assert all(named.count(name.lower()) == 1 for name in filters), "a link adds a filter in another case"
    request = requests.Request(
        "GET", "https://host" + version.path, params=version.query(params, ParameterSpelling.camel)
    )
    assert (request.prepare().url or "").startswith("https://host" + version.path + "?")


_transport = Transport("http://127.0.0.1:9", 1, RequestStats())


def headers(data: bytes) -> None:
    """Read any Retry-After, Date and request id: waits are bounded."""
    draw = Draw(data)
    response = requests.Response()
    response.status_code = draw.pick([429, 503, 500])
    names = ("Retry-After", "Date", "x-request-id")
    header = draw.pick([draw.pick(HEADERS), draw.rest().decode("latin-1")])
    response.headers.update(dict.fromkeys(names, header))
    response._content = b"{}"
    wait = retry_after(header, draw.byte(), 1.0, LONGEST_WAIT)
    assert 0 < wait <= LONGEST_WAIT
    server_time(response)
    describe("/jobs", {}, response).encode()
    _transport._prepare(response)
    if response.status_code != 429 and (shortened := response.headers.get("Retry-After")):
        assert 0 < int(shortened) <= LONGEST_WAIT


def tokens(data: bytes) -> None:
    """Read any answer as a token: a token that fits into a header, or an error of ours."""
    draw = Draw(data)
    response = draw.response()
    if draw.byte() % 2:
        given = {"access_token": draw.value(1), "expires_in": draw.value(1), "error": draw.value(1)}
        response._content = json.dumps(given).encode()
    cache = TokenCache(Secret("id", "secret"), "https://host/token", lambda url, form: response)
    try:
        token = cache.token("scope")
        assert cache.token("scope") == token
    except SourceError as error:
        check_error(error)
        return
    request = requests.Request("GET", "https://host/", auth=Bearer(token)).prepare()
    assert str(request.headers["Authorization"]).encode("latin-1").splitlines() == [f"Bearer {token}".encode("latin-1")]


@dataclass
class _Client:
    """Answer each request for a companion with a body from the bytes of the case."""

    draw: Draw
    asked: int = 0

    def get(self, path: str, params: Mapping[str, str], scope: str) -> JsonBody:
        self.asked += 1
        response = self.draw.response()
        if self.draw.byte() % 8:
            response.status_code = 200
        if self.draw.byte() % 4:
            rows = {self.draw.pick(KEYS): self.draw.value(3) for _ in range(self.draw.byte() % 8)}
            response._content = json.dumps([rows] if self.draw.byte() % 2 else {"data": rows}).encode()
        return read_body(None, f"GET {path}", response, scope)


def companions(data: bytes) -> None:
    """Read any answer as data of a companion: rows of its tables, or an error of ours."""
    draw = Draw(data)
    companion = draw.pick(COMPANIONS)
    client, answers = _Client(draw), Answers()
    context = Context(client, "t", (None,), NOW, True)
    try:
        companion.read(Ask(context, companion), None, {}, answers)
    except SourceError as error:
        check_error(error)
        return
    tables = {table.name: table for table in companion.tables}
    for name, rows in answers.rows.items():
        table = pa.Table.from_pylist(rows, schema=tables[name].arrow)
        table.validate(full=True)
        for row in rows:
            assert row.keys() <= set(tables[name].names)
            for value in row.values():
                assert not isinstance(value, str) or b"\0" not in value.encode()
    for finding in answers.findings:
        json.dumps(finding, ensure_ascii=False).encode()
        assert len(finding.example) <= LONGEST_MESSAGE


def values(data: bytes) -> None:
    """Parse texts as times, durations, counts and texts: a text has the same value in a column and alone."""
    draw = Draw(data)
    texts = [draw.pick([draw.text(60), draw.pick([each for each in SCALARS if isinstance(each, str)])]) for _ in "abc"]
    for parser in (TIMES, HOURS, COUNTS, TEXTS):
        whole = list(_read(parser, texts))
        assert whole == [next(_read(parser, [text])) for text in texts], "values differ by their neighbours"
        assert whole == [_alone(parser, text) for text in texts], "values differ by the way"


def _read(parser: FieldParser, texts: list[object] | list[str]) -> Iterator[Any]:
    array = parser.read(list(texts), lambda index, value: None)
    array.validate(full=True)
    yield from array.to_pylist()


def _alone(parser: FieldParser, text: str) -> Any:
    try:
        return parser._parse(text)
    except ValueError:
        return None


PROPERTIES: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (pages, single_jobs, links, headers, tokens, companions, values)
}
