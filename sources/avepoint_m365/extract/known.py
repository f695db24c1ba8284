"""Compare jobs with the warehouse, and define the lookup in it that the pipeline passes to the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import pyarrow as pa

from avepoint_m365.extract.deduplicate import filter_ids
from avepoint_m365.parse.frame import DETAIL_NAMES


class KnownError(NamedTuple):
    """Describe one error of a job as the warehouse holds it."""

    is_error_code: bool | None
    value: str | None
    url: str | None
    number: int | None


class KnownJob(NamedTuple):
    """Describe one job as the warehouse holds it. Times are UTC."""

    id: str
    state: str | None
    start_time: datetime | None
    finish_time: datetime | None
    duration_hours: float | None
    counts: tuple[int | None, ...]
    """Objects: total, failed, successful and skipped; empty if the row of ``jobs__backup_details`` is missing."""
    errors: tuple[KnownError, ...]
    location: str | None
    object_type: str | None
    job_type: str | None
    first_seen_at: datetime | None
    fetched_at: datetime | None


class OpenJob(NamedTuple):
    """Describe a job that the warehouse holds as in progress. Times are UTC."""

    id: str
    start_time: datetime | None
    location: str | None = None
    object_type: str | None = None


class Lookup(Protocol):
    """Look up jobs in the warehouse. A stale result costs further requests, but never rows."""

    def release(self) -> None:
        """Close what a query left open: a request follows, which may last long."""

    def is_empty(self) -> bool:
        """Return whether the warehouse holds no job of the tenant."""

    def jobs(self, ids: Sequence[str]) -> list[KnownJob]:
        """Return the jobs of the tenant that the warehouse holds among ``ids``."""

    def open_jobs(self) -> list[OpenJob]:
        """Return the jobs of the tenant that are in progress, oldest start first."""

    def recent(self, since: datetime, limit: int) -> list[str]:
        """Return ids of at most ``limit`` jobs that finished at or after ``since`` (UTC), newest first."""

    def unlabelled(self) -> dict[str, tuple[int, str | None]]:
        """Return the number of jobs without a label and the id of one, by location, object_type and job_type."""

    def count(
        self,
        start: datetime,
        end: datetime,
        range_filter: str | None,
        location: str | None = None,
        object_types: Sequence[str] = (),
    ) -> int | None:
        """Return how many jobs the API would count in a range (UTC); None if the destination cannot count them."""

    def state_words(self) -> dict[str, int]:
        """Return the codes of state words that loads learned, by word."""


class Change(NamedTuple):
    """Describe one row of ``job_changes``: a column of a job, with its old and new value as text."""

    id: str
    column: str
    old: str | None
    new: str | None


@dataclass
class Comparison:
    """Hold the ids of jobs by their comparison with the warehouse.

    Attributes:
        new: Jobs that the warehouse lacks.
        changed: Jobs with other values in the warehouse.
        unchanged: Jobs with the same values, or with a later state in the warehouse.
        changes: Changes of state and counts.
        known: The warehouse's values of the jobs that it holds, by id.
    """

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    known: dict[str, KnownJob] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return {*self.new, *self.changed, *self.unchanged}

    def add(self, other: Comparison) -> None:
        """Add the comparison of further jobs."""
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.changes += other.changes
        self.known |= other.known


_COUNTS = tuple(DETAIL_NAMES)

REPLICA_LAG = timedelta(days=1)
"""The most that a replica of the API may lag behind."""


def compare(jobs: pa.Table, known: dict[str, KnownJob], now: datetime) -> Comparison:
    """Return which jobs of ``jobs`` (``FRAME``) are new, changed and unchanged at ``now`` (UTC).

    A job in progress does not replace the same job finished: a replica of the API may lag behind. If its end was read
    more than ``REPLICA_LAG`` ago, the job runs again. The duration of a job in progress is no change, since it grows
    until the job ends.
    """
    comparison = Comparison([job_id for job_id in jobs["id"].to_pylist() if job_id not in known], known=known)
    # A first load has no known jobs. Its jobs need not become Python objects.
    for job in filter_ids(jobs, known).to_pylist() if known else ():
        job_id, stored = job["id"], known[job["id"]]
        if _is_stale(job, stored, now) or (changes := _changes(job, stored)) is None:
            comparison.unchanged.append(job_id)
        else:
            comparison.changed.append(job_id)
            comparison.changes += changes
    return comparison


def _is_stale(job: dict[str, object], stored: KnownJob, now: datetime) -> bool:
    if stored.finish_time is None or job["finish_time"] is not None:
        return False
    return stored.fetched_at is None or now - stored.fetched_at <= REPLICA_LAG


def _changes(job: dict[str, object], stored: KnownJob) -> list[Change] | None:
    """Return the changes of state and counts; None if all values of the job are those of the warehouse."""
    counts = tuple(job[name] for name in _COUNTS)
    errors = tuple((row["is_error_code"], row["value"], row["url"], row["number"]) for row in job["errors"] or ())  # type: ignore[attr-defined]
    ended = job["finish_time"] is not None
    same = (
        (job["state"], job["start_time"], job["finish_time"]) == (stored.state, stored.start_time, stored.finish_time)
        and (not ended or job["duration_hours"] == stored.duration_hours)
        and counts == stored.counts
        and errors == stored.errors
    )
    if same:
        return None
    pairs: list[tuple[str, object, object]] = [("state", stored.state, job["state"])]
    pairs += [(name, old, new) for name, old, new in zip(_COUNTS, stored.counts, counts, strict=False)]
    return [Change(stored.id, name, _text(old), _text(new)) for name, old, new in pairs if old != new]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
