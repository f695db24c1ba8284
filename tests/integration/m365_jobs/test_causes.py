"""Test the cause of a finding: the error messages of its jobs, and of no other job."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from avepoint_simulator.tenant import FAILED, JobError, SimulatedJob
from m365_jobs.health.alerts.findings import findings_of
from m365_jobs.health.evaluate import evaluate

from tests.support.backups import job, serving
from tests.support.warehouse import Warehouse, empty_warehouse


@pytest.fixture(params=["duckdb", "postgres"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with empty_warehouse(request.param, tmp_path, monkeypatch) as warehouse:
        yield warehouse


def with_errors(failed: SimulatedJob, *messages: str) -> SimulatedJob:
    return replace(failed, errors=tuple(JobError(message, False, "", 1) for message in messages))


def test_a_finding_names_the_most_frequent_errors_of_its_jobs(anywhere: Warehouse) -> None:
    jobs = [
        with_errors(job("teams", 60, FAILED), "of a backup before the last success"),
        job("teams", 50),
        with_errors(job("teams", 30, FAILED), "No licence", "No access", "Not found", "Rare"),
        with_errors(job("teams", 4, FAILED), "No access", "Not found", "No access"),
        with_errors(job("teams", 3, FAILED, kind="restore"), "x" * 200),
        with_errors(job("onedrive", 3), "of another service"),
        job("exchange_online", 5, FAILED),
    ]
    with serving(*jobs) as simulator:
        anywhere.load(simulator)
    health = evaluate(anywhere.pipeline())
    assert [(finding.kind, finding.object_type, finding.errors) for finding in health.findings] == [
        ("failing", "teams", ('"No access" (2 jobs)', '"Not found" (2 jobs)', '"No licence" (1 job)')),
        ("never", "exchange_online", ()),
        ("failed_restores", "teams", (f'"{"x" * 119}…" (1 job)',)),
    ]
    (alert,) = [item for item in findings_of(health) if item.kind == "failing"]
    assert alert.text.endswith(
        '. Most frequent errors: "No access" (2 jobs); "Not found" (2 jobs); "No licence" (1 job)'
    )
