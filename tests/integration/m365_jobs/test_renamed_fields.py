"""Test loads from an API that renames fields, or sends them under two names: it is reported, and known values stay."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.m365_jobs import test_job_history as history
from tests.integration.m365_jobs.test_job_history import Auditor, at
from tests.support.documented import JOBS, Backup, Params

auditor = history.auditor

Row = dict[str, Any]
ERROR = {"isErrorCode": True, "value": "Access denied.", "url": "https://host", "number": 3}


def serve(auditor: Auditor, change: Callable[[Row], Row], is_changed: Callable[[str], bool]) -> None:
    """Serve four failed jobs, some with other fields."""
    server = auditor.server
    server.jobs = [
        Backup(f"FB{number}", at(-10 - number), at(-9.5 - number), state="Failed", failed=3) for number in range(4)
    ]

    def answer(params: Params) -> tuple[int, Any]:
        status, body = server.jobs_page(params)
        rows = [row | {"jobErrors": [ERROR]} for row in body["data"]]
        return status, body | {"data": [change(row) if is_changed(row["id"]) else row for row in rows]}

    server.answers[JOBS] = answer


def named(row: Row, name: str, other: str) -> Row:
    return {other if key == name else key: value for key, value in row.items()}


def with_errors(row: Row, name: str, other: str) -> Row:
    return row | {"jobErrors": [named(error, name, other) for error in row["jobErrors"]]}


CHANGES: dict[str, tuple[Callable[[Row], Row], str, str]] = {
    "a count": (
        lambda row: row | {"backupDetails": named(row["backupDetails"], "failedNumber", "errorNumber")},
        "missing_fields",
        "failed_number",
    ),
    "a message": (lambda row: with_errors(row, "value", "message"), "missing_fields", "errors.value"),
    "occurrences": (lambda row: with_errors(row, "number", "times"), "missing_fields", "errors.number"),
    "a state beside": (lambda row: row | {"jobState": "Finished"}, "conflicting_values", "'jobState': 'Finished'"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_field_that_is_renamed_in_some_jobs_is_reported(auditor: Auditor, name: str) -> None:
    change, rule, text = CHANGES[name]
    serve(auditor, change, lambda job_id: job_id > "FB1")
    auditor.load(0, endpoint="cloudbackupjobs")
    assert auditor.findings == {rule}
    ((problem,),) = auditor.rows("SELECT problem FROM load_check_failures")
    assert text in problem


@pytest.mark.parametrize("name", CHANGES)
def test_a_field_that_is_renamed_later_replaces_no_known_value(auditor: Auditor, name: str) -> None:
    change, rule, _ = CHANGES[name]
    serve(auditor, change, lambda job_id: False)
    auditor.load(0, endpoint="cloudbackupjobs")
    errors = "SELECT job_id, is_error_code, value, url, number FROM jobs__job_errors ORDER BY job_id"
    before = auditor.contents(), auditor.rows(errors)
    serve(auditor, change, lambda job_id: True)
    auditor.load(1, endpoint="cloudbackupjobs")
    assert auditor.findings == {rule}
    assert (auditor.contents(), auditor.rows(errors)) == before
