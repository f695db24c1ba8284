"""Run the loads of a row against its server, and compare the warehouse with the server."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import avepoint_m365
import duckdb
import pytest
from avepoint_m365 import Progress
from avepoint_m365.exceptions import SourceError
from avepoint_simulator import Dialect, ServerBehavior, SimulatedJob, Simulator, World
from m365_jobs.errors.explain import explain
from m365_jobs.load import run as loading

from tests.support.servers.form import HOUR, NOW, Case, Labels, Step, job
from tests.support.worlds import settings

FIGURES = os.environ.get("M365_JOBS_CASES")
"""A file for the number of requests of each load of each row; docs/reliability.md contains them."""


@dataclass
class Found:
    """Hold the result of a load, and the rows of the warehouse after it."""

    exit_code: int
    findings: set[str]
    rows: dict[str, tuple[Any, ...]]
    """Location, object type, job type, state, start and finish by job id."""
    requests: int
    text: str

    def labels(self) -> dict[str, Labels]:
        return {job_id: (row[0], row[1], row[2]) for job_id, row in self.rows.items()}


class Bench:
    """Control a user who loads, and the behavior of the server."""

    def __init__(self, folder: Path, case: Case, patch: pytest.MonkeyPatch) -> None:
        self.case, self.patch, self.file = case, patch, folder / "m365_warehouse.duckdb"
        self.world = World(NOW, primary_location="NAM", **case.world)
        self.world.put(*case.jobs)
        self.simulator = Simulator(self.world, generations=case.generations)

    def load(self, step: Step) -> Found:
        self.world.advance(step.hours * HOUR)
        step.change(self.world)
        self.simulator.behavior = ServerBehavior(**{"clock_skew_hours": 0, **step.behavior})
        self.simulator.dialect = Dialect(**step.dialect)
        self.simulator.world = self.other_tenant() if step.other_tenant else self.world
        self.patch.setattr(avepoint_m365, "_now", lambda: self.world.now + step.client_ahead * HOUR)
        self.simulator.asked.clear()
        lines: list[str] = []
        source = settings(self.simulator, start_date=(NOW - 60 * 24 * HOUR).isoformat())
        source |= {**self.case.config, **step.config}
        try:
            summary = loading.load(loading.LoadOptions(source=source), Progress(), lines.append)
            exit_code = summary.exit_code
            lines += summary.incomplete
        except SourceError as error:
            exit_code = 1
            lines.append(str(error))
        except Exception as error:
            exit_code = explain(error).exit_code
            lines.append(explain(error).text)
        text = "\n".join(map(str, lines))
        requests = sum("jobs" in asked.path for asked in self.simulator.asked)
        return Found(exit_code, self.findings(), self.rows(), requests, text)

    def other_tenant(self) -> World:
        other = World(self.world.now)
        other.put(*(job(900 + number, 10 * number) for number in range(10)))
        return other

    def rows(self) -> dict[str, tuple[Any, ...]]:
        rows = self.select("SELECT id, location, object_type, job_type, state, start_time, finish_time FROM jobs")
        assert len({row[0] for row in rows}) == len(rows), "a job has two rows"
        return {row[0]: row[1:] for row in rows}

    def findings(self) -> set[str]:
        newest = "SELECT run_id FROM load_runs ORDER BY started_at DESC LIMIT 1"
        rules = self.select(f"SELECT rule FROM load_check_failures WHERE run_id = ({newest})")
        return {rule for (rule,) in rules}

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        if not self.file.exists():
            return []
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                connection.execute("USE m365_jobs")
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return []


def judge(case: Case, world: World, result: Found, step: Step) -> tuple[int, int, int]:
    """Return how many jobs are lost or stale, how many have a wrong label, and how many are so without a report."""
    shown = {item.id: item for item in world.visible() if int(item.id[-12:]) not in case.missing}
    lost = {job_id for job_id, item in shown.items() if is_stale(result.rows.get(job_id), item, case, world)}
    truth = {item.id: truth_of(item) for item in (*case.jobs, *world.all())}
    nothing = (None, None, None)
    labels = result.labels().items()
    wrong = sum(
        any(label not in (None, right) for label, right in zip(of, truth.get(job_id, nothing), strict=True))
        for job_id, of in labels
    )
    expected = {job_id: case.label(item, step) for job_id, item in shown.items()}
    unlabelled = {
        job_id
        for job_id, of in labels
        if any(label is None and right for label, right in zip(of, expected.get(job_id, nothing), strict=True))
    }
    silent = len(lost | unlabelled) if result.exit_code == 0 and not result.findings else 0
    return len(lost), wrong, silent


def truth_of(job: SimulatedJob) -> Labels:
    """Return the labels of a job if its location is configured."""
    return Case("", "", config={"locations": [job.location]}).label(job)


def is_stale(row: tuple[Any, ...] | None, job: SimulatedJob, case: Case, world: World) -> bool:
    """Return True if a job has no row, or a row with older times."""
    if row is None or int(job.id[-12:]) in case.unread:
        return row is None
    return (row[4], row[5]) != (job.start, job.finish if job.finished(world.now) else None)


def play(folder: Path, case: Case, patch: pytest.MonkeyPatch) -> None:
    """Run the loads of a row.

    After each load, a gap must lead to exit code 3 or a finding, and no label may be wrong. After the last load, the
    warehouse must contain exactly the expected rows.
    """
    patch.chdir(folder)
    patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
    patch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    patch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "3")
    bench = Bench(folder, case, patch)
    with bench.simulator:
        requests = [check(bench, step, number) for number, step in enumerate(case.steps, 1)]
    if FIGURES:
        with Path(FIGURES).open("a", encoding="utf-8") as file:
            file.write(f"{case.kind} | {case.name} | {', '.join(map(str, requests))}\n")


def check(bench: Bench, step: Step, number: int) -> int:
    """Compare the warehouse with the server after a load; return the number of requests of the load."""
    case, result = bench.case, bench.load(step)
    context = f"load {number}: exit {result.exit_code}, {sorted(result.findings)}, {result.requests} requests"
    context = f"{context}\n{result.text}"
    lost, wrong, silent = judge(case, bench.world, result, step) if step.judged else (0, 0, 0)
    assert (wrong, silent) == (0, 0), f"{lost} lost or stale, {wrong} mislabelled, {silent} silent; {context}"
    assert result.exit_code in step.exits, context
    assert step.findings <= result.findings, context
    assert not (step.no_findings and result.findings), context
    assert step.most_requests is None or result.requests <= step.most_requests, context
    for sql, rows in step.answers.items():
        assert bench.select(sql) == rows, f"{sql}\n{context}"
    if number == len(case.steps):
        assert lost == 0, f"{lost} lost or stale; {context}"
        gone = [item for item in case.jobs if int(item.id[-12:]) in case.gone]
        shown = [item for item in bench.world.visible() if int(item.id[-12:]) not in case.missing]
        expected = {item.id: case.label(item) for item in (*gone, *shown)}
        labels = {job_id: allowed(case, of, expected.get(job_id)) for job_id, of in result.labels().items()}
        assert labels == expected, context
    return result.requests


def allowed(case: Case, labels: Labels, expected: Labels | None) -> Labels:
    """Return the labels of a row; a missing label that the case permits is replaced by the expected label."""
    dimensions = ("location", "object_type", "job_type")
    zipped = zip(dimensions, labels, expected or labels, strict=True)
    location, object_type, job_type = (
        right if label is None and name in case.may_lack else label for name, label, right in zipped
    )
    return location, object_type, job_type
