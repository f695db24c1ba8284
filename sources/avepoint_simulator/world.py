"""What a simulated tenant holds: jobs that appear, run, end and vanish as the clock goes on; the same for one seed."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

OBJECT_TYPES = range(1, 13)
JOB_TYPES = range(1, 6)
FINISHED, FAILED, EXCEPTION, PARTIAL = "Finished", "Failed", "Finished with Exception", "Partially Finished"
IN_PROGRESS = "In Progress"
STATE_CODES = {1: IN_PROGRESS, 2: FINISHED, 3: FAILED, 4: EXCEPTION, 5: PARTIAL}

ID_PATTERN = r"[A-Z]{2}\d{21}"
"""The form of the ids that ``make_world`` gives, one digit longer than the vendor's."""

ERROR_TEXTS = (
    ("Access denied. The app profile lacks a permission for this site.", True),
    ("The mailbox is inactive or has been soft-deleted.", False),
    ("The request was throttled by Microsoft 365. The object will be retried in the next job.", False),
    ("The item was changed while it was being backed up.", False),
    ("The site is locked (read only) and cannot be restored in place.", True),
    ("The attachment exceeds the maximum size supported.", True),
)


@dataclass(frozen=True, slots=True)
class JobError:
    """One kind of error within a job."""

    text: str
    is_code: bool
    url: str
    occurrences: int


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """A job's whole life; what the API shows of it depends on the time. All times are UTC."""

    id: str
    object_type: int
    job_type: int
    location: str | None
    start: datetime
    finish: datetime | None
    """When it will end; None for a job that never does."""
    final_state: str = FINISHED
    total: int = 0
    failed: int = 0
    skipped: int = 0
    errors: tuple[JobError, ...] = ()
    visible_from: datetime | None = None
    """When the API shows it first, if later than its start."""
    visible_until: datetime | None = None
    """When the vendor's own retention removes it."""

    def visible(self, now: datetime) -> bool:
        """Whether the API shows it at ``now``."""
        first = max(self.start, self.visible_from or self.start)
        return first <= now and (self.visible_until is None or now < self.visible_until)

    def finished(self, now: datetime) -> bool:
        """Whether it has ended at ``now``."""
        return self.finish is not None and self.finish <= now

    def state(self, now: datetime) -> str:
        """The state the API shows at ``now``."""
        return self.final_state if self.finished(now) else IN_PROGRESS

    def in_range(self, reading: str, since: datetime | None, until: datetime | None, now: datetime) -> bool:
        """Whether it lies in a time range (bounds included) under one of three readings of the vendor's text.

        ``reading`` is start, finish or overlap. An open job counts as finishing at ``now``.
        """
        end = self.finish if self.finish is not None and self.finish <= now else now
        first, last = {"start": (self.start, self.start), "finish": (end, end), "overlap": (self.start, end)}[reading]
        return (since is None or last >= since) and (until is None or first <= until)


@dataclass
class World:
    """The jobs of one tenant and the clock they live by. Safe to change while a server answers from it."""

    now: datetime
    reading: str = "finish"
    """What startTime and finishTime are compared with: start, finish or overlap."""
    _jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    _index: dict[tuple[int, int], dict[str, SimulatedJob]] = field(default_factory=lambda: defaultdict(dict))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 0
    """Grows with every change, so that answers can be kept until then."""

    def put(self, *jobs: SimulatedJob) -> None:
        """Adds jobs, or replaces those with the same id."""
        with self._lock:
            for job in jobs:
                self.remove(job.id)
                self._jobs[job.id] = job
                self._index[job.object_type, job.job_type][job.id] = job
            self.version += 1

    def change(self, job_id: str, **changes: object) -> SimulatedJob:
        """Replaces fields of one job."""
        changed = replace(self._jobs[job_id], **changes)  # type: ignore[arg-type]
        self.put(changed)
        return changed

    def remove(self, job_id: str) -> None:
        """Forgets a job, as if it had never been."""
        with self._lock:
            if job := self._jobs.pop(job_id, None):
                del self._index[job.object_type, job.job_type][job_id]
                self.version += 1

    def advance(self, by: timedelta) -> datetime:
        """Moves the clock on; jobs start and end accordingly."""
        with self._lock:
            self.now += by
            self.version += 1
            return self.now

    def all(self) -> list[SimulatedJob]:
        """Every job, visible or not."""
        with self._lock:
            return list(self._jobs.values())

    def visible(self) -> list[SimulatedJob]:
        """What the API shows at the moment, unfiltered."""
        return [job for job in self.all() if job.visible(self.now)]

    def select(
        self,
        object_type: int = 0,
        job_type: int = 0,
        job_state: int = 0,
        location: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[SimulatedJob]:
        """The visible jobs that match, newest start first; 0 and None mean all."""
        with self._lock:
            keys = [
                (one, kind)
                for one in ([object_type] if object_type else OBJECT_TYPES)
                for kind in ([job_type] if job_type else JOB_TYPES)
            ]
            found: Iterable[SimulatedJob] = (job for key in keys for job in self._index[key].values())
            matches = [
                job
                for job in found
                if (location is None or job.location == location)
                and job.visible(self.now)
                and job.in_range(self.reading, since, until, self.now)
                and (not job_state or job.state(self.now) == STATE_CODES.get(job_state))
            ]
        return sorted(matches, key=lambda job: (job.start, job.id), reverse=True)


DEFAULT_NOW = datetime(2026, 1, 15, 6, 0, tzinfo=UTC)


def make_world(
    jobs: int,
    seed: int = 0,
    now: datetime = DEFAULT_NOW,
    days: float = 30,
    locations: tuple[str, ...] = (),
    error_share: float = 0.2,
) -> World:
    """A tenant with ``jobs`` jobs that start within ``days`` before ``now`` and a few after; deterministic by seed."""
    chance = random.Random(seed)
    world = World(now)
    world.put(*(_make_job(chance, number, now, days, locations, error_share) for number in range(jobs)))
    return world


def _make_job(
    chance: random.Random, number: int, now: datetime, days: float, locations: tuple[str, ...], error_share: float
) -> SimulatedJob:
    start = (now - timedelta(days=days * chance.random() - 0.5)).replace(microsecond=0)
    job_type = chance.choices(JOB_TYPES, weights=(80, 8, 4, 4, 4))[0]
    prefix = {1: "FB", 2: "RE", 3: "EX", 4: "DE", 5: "RT"}[job_type]
    duration = timedelta(seconds=round(chance.lognormvariate(6.5, 1.2)))
    total = round(chance.lognormvariate(5, 1.5))
    bad = chance.random() < error_share
    failed = min(total, 1 + round(total * chance.random() * 0.2)) if bad else 0
    state = chance.choices((EXCEPTION, PARTIAL, FAILED), weights=(6, 3, 1))[0] if bad else FINISHED
    kinds = chance.sample(ERROR_TEXTS, k=chance.randint(1, 3)) if bad else []
    return SimulatedJob(
        id=f"{prefix}{start:%Y%m%d%H%M%S}{number:07d}",
        object_type=chance.choice(OBJECT_TYPES),
        job_type=job_type,
        location=chance.choice(locations) if locations else None,
        start=start,
        finish=start + duration,
        final_state=state,
        total=total,
        failed=failed,
        skipped=chance.randint(0, 2) if total - failed >= 2 else 0,
        errors=tuple(
            JobError(text, is_code, "https://support.example/kb" if is_code else "", chance.randint(1, 9))
            for text, is_code in kinds
        ),
    )
