"""Test answers whose envelope has fields that the reference does not name: further pages, missing jobs, warnings."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.m365_jobs import test_job_history as history
from tests.integration.m365_jobs.test_job_history import Auditor, at
from tests.support.documented import JOBS, Backup, Params

auditor = history.auditor

Body = dict[str, Any]
Change = Callable[[Body, list[Any], bool], Any]
"""Receives an answer, the jobs that its page lacks, and whether another page follows."""

CUT = 7
"""Jobs on a page at most; no usual limit of a server."""

MORE: dict[str, Change] = {
    "a flag": lambda body, rest, more: body["metadata"].update(hasMore=more),
    "a flag as text": lambda body, rest, more: body.update(HasNextPage=str(more)),
    "a link of another name": lambda body, rest, more: body["metadata"].update(nextPage="?page=2" if more else None),
    "a link of OData": lambda body, rest, more: body.update({"@odata.nextLink": "https://host/?a=b" if more else ""}),
    "a link as object": lambda body, rest, more: body["metadata"].update(nextLink={"href": "?a"} if more else None),
    "a link among links": lambda body, rest, more: body.update(_links={"next": "?a"} if more else {}),
    "a token": lambda body, rest, more: body["metadata"].update(nextToken="abc" if more else ""),
    "a number of pages": lambda body, rest, more: body.update(pagination={"totalPages": 5}),
    "a total of another name": lambda body, rest, more: body["metadata"].update(totalItems=19),
}

PARTIAL: dict[str, Change] = {
    "a flag": lambda body, rest, more: body.update(isPartial=True),
    "a flag as text": lambda body, rest, more: body["metadata"].update(Truncated="true"),
    "errors of the metadata": lambda body, rest, more: body["metadata"].update(
        errors=[{"message": "A shard is down."}]
    ),
    "a status": lambda body, rest, more: body.update(statusCode=206),
    "a message": lambda body, rest, more: body.update(message="Partial result: a shard is down."),
    "a list of another name": lambda body, rest, more: body.update(newJobs=rest),
}

WARNINGS: dict[str, Change] = {
    "a warning": lambda body, rest, more: body.update(warning="A shard is down."),
    "warnings": lambda body, rest, more: body["metadata"].update(warnings=["A shard is down."]),
    "an error": lambda body, rest, more: body.update(error={"code": 7, "message": "A shard is down."}),
}

LISTS: dict[str, Change] = {
    "null": lambda body, rest, more: body.update(jobs=body["data"] + rest, data=None),
    "empty": lambda body, rest, more: body.update(jobs=body["data"] + rest, data=[]),
    "with other jobs": lambda body, rest, more: body.update(jobs=rest),
}

NOTHING: dict[str, Change] = {
    "a flag that is off": lambda body, rest, more: body.update(isPartial=False, hasMore="false"),
    "empty fields": lambda body, rest, more: body.update(
        error=None, warnings=[], nextToken="", pagination={"next": None}
    ),
    "an error without a text": lambda body, rest, more: body.update(error={"code": "", "message": ""}),
    "a total that was read": lambda body, rest, more: body.update(total=len(body["data"]), totalPages=1),
}


def serve(auditor: Auditor, change: Change, cut: int | None = None) -> None:
    """Serve 19 jobs without a total; each page lacks the newest two if it is not cut."""
    server = auditor.server
    server.jobs = [Backup(f"FB{number:02}", at(-20 - number), at(-19.5 - number)) for number in range(19)]

    def answer(params: Params) -> tuple[int, Any]:
        _, whole = server.jobs_page(params | {"pageSize": "500", "pageIndex": "0"})
        rows = whole["data"]
        index = int(params.get("pageIndex", "0"))
        page = rows[index * cut : (index + 1) * cut] if cut else rows[2:]
        body = whole | {"data": page, "metadata": {"nextLink": ""}}
        change(body, rows[:2], bool(cut) and (index + 1) * (cut or 0) < len(rows))
        return 200, body

    server.answers[JOBS] = answer


def ids(auditor: Auditor) -> set[str]:
    return {job_id for (job_id,) in auditor.rows("SELECT id FROM jobs")}


@pytest.mark.parametrize("name", MORE)
def test_a_further_page_that_an_unknown_field_announces_is_read(auditor: Auditor, name: str) -> None:
    serve(auditor, MORE[name], CUT)
    auditor.load(0, endpoint="cloudbackupjobs")
    assert ids(auditor) == {job.id for job in auditor.server.jobs}
    assert auditor.incomplete == []


@pytest.mark.parametrize("name", PARTIAL)
def test_a_response_that_calls_itself_partial_is_not_complete(auditor: Auditor, name: str) -> None:
    serve(auditor, PARTIAL[name])
    auditor.load(0, endpoint="cloudbackupjobs")
    assert ids(auditor) == {job.id for job in auditor.server.jobs[2:]}
    assert auditor.incomplete


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_of_the_api_is_reported(auditor: Auditor, name: str) -> None:
    serve(auditor, WARNINGS[name])
    auditor.load(0, endpoint="cloudbackupjobs")
    assert auditor.findings == {"api_warning"}
    ((problem,),) = auditor.rows("SELECT problem FROM load_check_failures")
    assert "A shard is down." in problem


@pytest.mark.parametrize(
    ("headers", "day"),
    [
        ({"Sunset": "Wed, 31 Mar 2027 23:59:59 GMT", "Deprecation": "@1767225600"}, "2027-03-31"),
        ({"Sunset": "spring 2027"}, "spring 2027"),
        ({"deprecation": "true"}, "a later day"),
        ({"Deprecation": "false"}, None),
    ],
)
def test_the_announced_end_of_an_endpoint_is_reported_by_each_load(
    auditor: Auditor, headers: dict[str, str], day: str | None
) -> None:
    auditor.server.headers = headers
    auditor.server.jobs = [Backup("FB1", at(-20), at(-19))]
    # The second load finds nothing new.
    for hours in (0, 1):
        auditor.load(hours)
        assert auditor.findings == ({"endpoint_ends"} if day else set())
        problems = {problem for (problem,) in auditor.rows("SELECT problem FROM load_check_failures")}
        assert problems == ({f"been read from an endpoint that the API ends on {day}"} if day else set())


@pytest.mark.parametrize("name", LISTS)
def test_jobs_in_the_list_of_the_other_generation_are_read(auditor: Auditor, name: str) -> None:
    serve(auditor, LISTS[name])
    auditor.load(0, endpoint="cloudbackupjobs")
    assert ids(auditor) == {job.id for job in auditor.server.jobs}
    assert (auditor.incomplete, auditor.findings) == ([], set())


@pytest.mark.parametrize("name", NOTHING)
def test_fields_that_say_nothing_change_nothing(auditor: Auditor, name: str) -> None:
    serve(auditor, lambda body, rest, more: None)
    requests = auditor.load(0, endpoint="cloudbackupjobs")
    serve(auditor, NOTHING[name])
    assert auditor.load(0, endpoint="cloudbackupjobs", tenant="other") == requests
    assert (auditor.incomplete, auditor.findings) == ([], set())


def test_a_page_that_is_announced_but_never_comes_is_reported(auditor: Auditor) -> None:
    serve(auditor, lambda body, rest, more: body["metadata"].update(hasMore=True))
    auditor.load(0, endpoint="cloudbackupjobs")
    assert auditor.incomplete
