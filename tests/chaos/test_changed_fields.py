"""Test fields that change their form in the middle of a history: known values stay, and requests stay few."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from avepoint_simulator import Answer, Asked, JobError
from m365_jobs.health.evaluate import evaluate
from m365_jobs.warehouse.target import open_warehouse

from tests.support.tenant import Tenant
from tests.support.truth import in_warehouse

Change = Callable[[dict[str, Any]], Any]

JOBS = 40
"""Jobs of the tests: one a day, so that most lie outside the window of a later load."""

FORMS: dict[str, Change] = {
    "state": lambda job: {"state": {"code": 2, "name": job["state"]}},
    "finish": lambda job: {"finishTime": {"utc": job["finishTime"]}},
    "errors": lambda job: {"jobErrors": {"items": job["jobErrors"]}},
    "count": lambda job: {"backupDetails": job["backupDetails"] | {"failedCount": "a few"}},
}
"""Functions that return fields of a job in another form."""


def change_rows(tenant: Tenant, change: Change) -> None:
    """Let the server send each job with changed fields."""

    def answer(asked: Asked) -> Answer | None:
        if asked.path != "/backup/m365/jobs":
            return None
        answer = tenant.simulator.jobs.answer_jobs(asked)
        return Answer(200, answer.body | {"jobs": [job | change(job) for job in map(json.loads, answer.body["jobs"])]})

    tenant.simulator.fault = answer


def put_jobs(tenant: Tenant) -> None:
    for number in range(JOBS):
        errors = (JobError("Access denied.", True, "", 1),)
        tenant.put(f"job {number}", -24 * number - 2, -24 * number - 1, errors=errors)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_the_daily_comparison_cannot_read_replaces_no_known_value(tenant: Tenant, form: str) -> None:
    put_jobs(tenant)
    tenant.load()
    before = in_warehouse(tenant.file)
    change_rows(tenant, FORMS[form])
    tenant.world.advance(timedelta(hours=25))
    tenant.load(exit_code=3)
    assert in_warehouse(tenant.file) == before
    tenant.simulator.fault = None
    tenant.load()
    assert tenant.agrees()


def test_ids_in_another_form_are_reported_after_few_requests(tenant: Tenant) -> None:
    put_jobs(tenant)
    tenant.load(endpoint="jobs")
    change_rows(tenant, lambda job: {"id": {"value": job["id"]}})
    tenant.world.advance(timedelta(hours=1))
    tenant.load(exit_code=3, endpoint="jobs")
    assert len(tenant.simulator.asked) < 30
    tenant.simulator.fault = None
    tenant.load(endpoint="jobs")
    assert tenant.agrees()


def test_health_reports_jobs_without_a_state(tenant: Tenant) -> None:
    put_jobs(tenant)
    change_rows(tenant, lambda _: {"state": None})
    tenant.load()
    (text,) = [finding.text for finding in evaluate(open_warehouse()).findings if finding.kind == "unknown_state"]
    assert text.startswith(f"{JOBS} jobs without a state (the last started ")
