"""The form of a row of the table of servers, and the jobs and steps that rows share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from avepoint_simulator import JobError, SimulatedJob, World
from avepoint_simulator.tenant import EXCEPTION, FAILED, FINISHED, PARTIAL

from tests.support.truth import JOB_TYPES, OBJECT_TYPES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEARS = {"start_date": (NOW - timedelta(days=400)).isoformat()}
MONTHS = {"start_date": (NOW - timedelta(days=60)).isoformat()}
TWO = {"locations": ["NAM", "EUR"]}
Labels = tuple[str | None, str | None, str | None]


def job(
    number: int,
    hours: float,
    location: str = "NAM",
    object_type: int = 1,
    job_type: int = 1,
    lasts: float | None = 1,
    **more: Any,
) -> SimulatedJob:
    """Return a job that starts ``hours`` before the first load and lasts so many hours, or never ends."""
    start = NOW - hours * HOUR
    finish = None if lasts is None else start + lasts * HOUR
    return SimulatedJob(
        f"FB20260301{number:012}", object_type, job_type, location, start, finish, **{"total": 100, **more}
    )


SIX = (
    job(1, 3),
    job(2, 5, object_type=2),
    job(3, 7, "EUR"),
    job(4, 9, "EUR", 2, 2),
    job(5, 30),
    job(6, 40, "EUR", job_type=5),
)
YEAR = tuple(job(number, 960 * number) for number in range(1, 9))
"""A job every forty days."""
CROWD = tuple(job(number, 2 + number / 3, object_type=1 + number % 3, job_type=1 + number % 2) for number in range(60))
"""Sixty jobs within a day."""
SPREAD = tuple(job(number, 2 + 24 * number, object_type=1 + number % 3) for number in range(60))
"""A job a day for two months."""
ALL_LOADS = 10**9
"""More requests than loads send."""
ERROR = JobError("Access denied.", True, "", 2)
STATES = tuple(
    job(number, number, final_state=state, failed=number % 2, errors=(ERROR,) * (number % 2))
    for number, state in enumerate((FINISHED, FAILED, EXCEPTION, PARTIAL), 2)
)
LATER = job(7, -20, "EUR", 2)
"""A job between the first load and one a day later."""
STREAM = tuple(job(number, 48 - 6 * number, object_type=1 + number % 2) for number in range(40))
"""A job each six hours from two days ago to a week from now."""


@dataclass(frozen=True)
class Step:
    """One load, and what goes before it."""

    hours: float = 0
    """How far the clock moves on before the load."""
    behavior: Mapping[str, Any] = field(default_factory=dict)
    dialect: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this load beside those of the row."""
    change: Callable[[World], object] = lambda world: None
    """A change on the server before the load."""
    other_tenant: bool = False
    """Whether another tenant's jobs answer."""
    client_ahead: float = 0
    """How many hours the client's clock is ahead of the server's."""
    exits: tuple[int, ...] = (0,)
    findings: frozenset[str] = frozenset()
    """Rules that the load must report."""
    no_findings: bool = False
    """Whether the load must report nothing."""
    most_requests: int | None = None
    answers: Mapping[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """Queries on the warehouse and their rows."""
    judged: bool = True
    """Whether the warehouse is compared with the server; not where the server shows less than it has."""


@dataclass(frozen=True)
class Case:
    """A server, a user's settings, some loads, and what the warehouse holds in the end."""

    kind: str
    name: str
    jobs: tuple[SimulatedJob, ...] = SIX
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = (Step(), Step(no_findings=True))
    unlabelled: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    """``location``, ``object_type`` or ``job_type`` to the numbers of the jobs that have none; None: all jobs."""
    gone: tuple[int, ...] = ()
    """Numbers of jobs that the server no longer shows and the warehouse keeps."""
    missing: tuple[int, ...] = ()
    """Numbers of jobs that are not loaded."""
    unread: tuple[int, ...] = ()
    """Numbers of jobs whose times cannot be read."""
    may_lack: tuple[str, ...] = ()
    """Dimensions in which jobs may be without a label."""
    world: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the server's world, such as reading or order."""
    generations: tuple[int, ...] = (1, 2)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    def label(self, job: SimulatedJob, step: Step | None = None) -> Labels:
        """Return the labels that a job has in the warehouse after a step, the last where none is given."""
        number, config = int(job.id[-12:]), {**self.config, **(step or self.steps[-1]).config}
        configured = config.get("locations") or ()
        labels = {
            "location": job.location if job.location in configured else None,
            "object_type": OBJECT_TYPES.get(job.object_type),
            "job_type": JOB_TYPES.get(job.job_type) if config.get("split_job_types", True) else None,
        }
        for dimension, numbers in self.unlabelled.items():
            if numbers is None or number in numbers:
                labels[dimension] = None
        return labels["location"], labels["object_type"], labels["job_type"]


def days(count: int, hours: float = 24, **same: Any) -> tuple[Step, ...]:
    """Return a load now and job after each of ``count`` times so many hours."""
    return tuple(Step(hours=hours if number else 0, **same) for number in range(count + 1))


def remove(job: SimulatedJob) -> Callable[[World], object]:
    """Return a change by which the server shows a job no longer."""
    return lambda world: world.remove(job.id)


def revise(job: SimulatedJob, **changes: Any) -> Callable[[World], object]:
    """Return a change of a job."""
    return lambda world: world.put(replace(job, **changes))


def behaves(answers: dict[str, str | int] | None = None, **behavior: Any) -> dict[str, Any]:
    """Return a behavior; ``answers`` are those to single parameters."""
    return behavior | ({"parameter_answers": answers} if answers else {})


def twice(behavior: dict[str, Any], dialect: dict[str, Any] | None = None, **expected: Any) -> tuple[Step, ...]:
    """Return two loads an hour apart from the same server."""
    step = Step(behavior=behavior, dialect=dialect or {}, **expected)
    return step, replace(step, hours=1)
