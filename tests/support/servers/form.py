"""Define the form of a row in the table of servers, and the jobs and steps that rows share."""

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
"""A number of requests that no test reaches."""
ERROR = JobError("Access denied.", True, "", 2)
STATES = tuple(
    job(number, number, final_state=state, failed=number % 2, errors=(ERROR,) * (number % 2))
    for number, state in enumerate((FINISHED, FAILED, EXCEPTION, PARTIAL), 2)
)
LATER = job(7, -20, "EUR", 2)
"""A job between the first load and a load a day later."""
STREAM = tuple(job(number, 48 - 6 * number, object_type=1 + number % 2) for number in range(40))
"""A job each six hours from two days ago to a week from now."""


@dataclass(frozen=True)
class Step:
    """Describe a load, and the changes before it."""

    hours: float = 0
    """Hours by which the clock moves forward before the load."""
    behavior: Mapping[str, Any] = field(default_factory=dict)
    dialect: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this load, in addition to those of the row."""
    change: Callable[[World], object] = lambda world: None
    """A change on the server before the load."""
    other_tenant: bool = False
    """True if the server answers with the jobs of another tenant."""
    client_ahead: float = 0
    """Hours by which the client's clock is ahead of the server's."""
    exits: tuple[int, ...] = (0,)
    findings: frozenset[str] = frozenset()
    """Rules that the load must report."""
    no_findings: bool = False
    """True if the load must not report anything."""
    most_requests: int | None = None
    answers: Mapping[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """Queries on the warehouse and their expected rows."""
    judged: bool = True
    """True if the test compares the warehouse with the server; False if the server shows fewer jobs than it has."""


@dataclass(frozen=True)
class Case:
    """Describe a server, the user's settings, the loads, and the expected warehouse after the last load."""

    kind: str
    name: str
    jobs: tuple[SimulatedJob, ...] = SIX
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = (Step(), Step(no_findings=True))
    unlabelled: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    """Numbers of the jobs without a ``location``, ``object_type`` or ``job_type``, by label; None means all jobs."""
    gone: tuple[int, ...] = ()
    """Numbers of jobs that the server no longer shows, but the warehouse keeps."""
    missing: tuple[int, ...] = ()
    """Numbers of jobs that are not loaded."""
    unread: tuple[int, ...] = ()
    """Numbers of jobs with unreadable times."""
    may_lack: tuple[str, ...] = ()
    """Names of labels that jobs may lack."""
    world: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the server's world, such as reading or order."""
    generations: tuple[int, ...] = (1, 2)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    def label(self, job: SimulatedJob, step: Step | None = None) -> Labels:
        """Return the labels of a job in the warehouse after a step; the last step is the default."""
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
    """Return a load now, and ``count`` further loads, each ``hours`` after the one before."""
    return tuple(Step(hours=hours if number else 0, **same) for number in range(count + 1))


def remove(job: SimulatedJob) -> Callable[[World], object]:
    """Return a change after which the server no longer shows a job."""
    return lambda world: world.remove(job.id)


def revise(job: SimulatedJob, **changes: Any) -> Callable[[World], object]:
    """Return a change of a job."""
    return lambda world: world.put(replace(job, **changes))


def behaves(answers: dict[str, str | int] | None = None, **behavior: Any) -> dict[str, Any]:
    """Return a behavior; ``answers`` are the answers to requests with certain parameters."""
    return behavior | ({"parameter_answers": answers} if answers else {})


def twice(behavior: dict[str, Any], dialect: dict[str, Any] | None = None, **expected: Any) -> tuple[Step, ...]:
    """Return two loads an hour apart from the same server."""
    step = Step(behavior=behavior, dialect=dialect or {}, **expected)
    return step, replace(step, hours=1)
