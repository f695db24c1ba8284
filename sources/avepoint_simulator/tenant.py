"""Hold a simulated tenant: jobs that appear, run, end and vanish over time."""

from __future__ import annotations

import random
import threading
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from operator import attrgetter
from zlib import crc32

OBJECT_TYPES = range(1, 13)
JOB_TYPES = range(1, 6)
FINISHED, FAILED, EXCEPTION, PARTIAL = "Finished", "Failed", "Finished with Exception", "Partially Finished"
IN_PROGRESS = "In Progress"
STATE_CODES = {1: IN_PROGRESS, 2: FINISHED, 3: FAILED, 4: EXCEPTION, 5: PARTIAL}
PRIMARY_LOCATION = "PrimaryGeoLocation"

READINGS = ("start", "finish", "overlap", "whole")
BOUNDS = ("inclusive", "exclusive", "end_excluded")
ORDERS = ("newest", "oldest", "id", "scattered", "shuffled")


@dataclass(frozen=True, slots=True)
class JobError:
    """Describe one kind of error within a job."""

    text: str
    is_code: bool
    url: str
    occurrences: int


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """Describe a job from its start to its end; the API returns its state at the time of a request. Times are UTC."""

    id: str
    object_type: int
    job_type: int
    location: str | None
    start: datetime
    finish: datetime | None
    """When it ends; None for a job that never ends."""
    final_state: str = FINISHED
    total: int = 0
    failed: int = 0
    skipped: int = 0
    errors: tuple[JobError, ...] = ()
    visible_from: datetime | None = None
    """When the API lists it first; None for its start."""
    visible_until: datetime | None = None
    """When the vendor's retention removes it; None for never."""

    def visible(self, now: datetime) -> bool:
        """Return whether the API shows it at ``now``."""
        first = max(self.start, self.visible_from or self.start)
        return first <= now and (self.visible_until is None or now < self.visible_until)

    def finished(self, now: datetime) -> bool:
        """Return whether it has ended at ``now``."""
        return self.finish is not None and self.finish <= now

    def state(self, now: datetime) -> str:
        """Return the state that the API shows at ``now``."""
        return self.final_state if self.finished(now) else IN_PROGRESS

    def in_range(
        self, reading: str, since: datetime | None, until: datetime | None, now: datetime, bounds: str = "inclusive"
    ) -> bool:
        """Return whether it lies in a time range under one of the ``READINGS`` of the vendor's text and ``BOUNDS``.

        An open job counts as finishing at ``now``.
        """
        end = self.finish if self.finish is not None and self.finish <= now else now
        first = end if reading in ("finish", "whole") else self.start
        last = self.start if reading in ("start", "whole") else end
        return (since is None or last > since or (last == since and bounds != "exclusive")) and (
            until is None or first < until or (first == until and bounds == "inclusive")
        )


Filter = tuple[int, int, str | None]
"""Object type, job type and location; 0 and None mean all."""

USUAL = timedelta(days=7)
"""Jobs of at most this duration are searched by their start, in a range that is extended by it."""

TWO_DIGITS = tuple(f"{number:02}" for number in range(60))
"""Numbers of two digits as text: formatting times is the largest cost of making and encoding a job."""

_order = attrgetter("start", "id")
_start = attrgetter("start")


def _is_usual(job: SimulatedJob) -> bool:
    plain = job.visible_from is None and job.visible_until is None
    return plain and job.finish is not None and timedelta(0) <= job.finish - job.start <= USUAL


def _fits(job: SimulatedJob, wanted: Filter) -> bool:
    object_type, job_type, location = wanted
    return object_type in (0, job.object_type) and job_type in (0, job.job_type) and location in (None, job.location)


@dataclass
class World:
    """Hold the jobs of one tenant and their clock. Safe to change while a server answers from it."""

    now: datetime
    reading: str = "finish"
    """What startTime and finishTime are compared with: one of ``READINGS``. ``whole`` is startTime with the start of a
    job, finishTime with its finish."""
    bounds: str = "inclusive"
    """Whether a range holds its own ends: inclusive, exclusive or end_excluded."""
    order: str = "newest"
    """How lists are sorted: newest or oldest start first, by id, scattered (by chance, but always the same) or
    shuffled for each request."""
    late: timedelta = timedelta(0)
    """How long after its start a job is shown first."""
    primary_location: str | None = None
    """The location that PrimaryGeoLocation stands for."""
    version: int = 0
    """Grows with every change, so that answers can be kept until then."""
    _jobs: dict[str, SimulatedJob] = field(default_factory=dict, repr=False)
    _unusual: dict[str, SimulatedJob] = field(default_factory=dict, repr=False)
    _sorted: dict[Filter, list[SimulatedJob]] = field(default_factory=dict, repr=False)
    """The usual jobs of each filter asked for so far, oldest start first."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _chance: random.Random = field(default_factory=lambda: random.Random(0), repr=False)

    def __post_init__(self) -> None:
        for value, known in ((self.reading, READINGS), (self.bounds, BOUNDS), (self.order, ORDERS)):
            if value not in known:
                raise ValueError(f"{value!r} is not one of {', '.join(known)}")

    def put(self, *jobs: SimulatedJob) -> None:
        """Add jobs, or replace those with the same id."""
        with self._lock:
            for job in jobs:
                if job.id in self._jobs:
                    self.remove(job.id)
                self._jobs[job.id] = job
                if not _is_usual(job):
                    self._unusual[job.id] = job
                elif self._sorted:
                    for series in self._series_with(job):
                        insort(series, job, key=_order)
            self.version += 1

    def change(self, job_id: str, **changes: object) -> SimulatedJob:
        """Replace fields of one job."""
        changed = replace(self._jobs[job_id], **changes)  # type: ignore[arg-type]
        self.put(changed)
        return changed

    def remove(self, job_id: str) -> None:
        """Forget a job, as if it had never been."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
            if job is None:
                return
            if self._unusual.pop(job_id, None) is None:
                for series in self._series_with(job):
                    del series[bisect_left(series, _order(job), key=_order)]
            self.version += 1

    def advance(self, by: timedelta) -> datetime:
        """Move the clock on; jobs start and end accordingly."""
        with self._lock:
            self.now += by
            self.version += 1
            return self.now

    def all(self) -> list[SimulatedJob]:
        """Return every job, visible or not."""
        with self._lock:
            return list(self._jobs.values())

    def visible(self) -> list[SimulatedJob]:
        """Return all jobs that the API shows now, without a filter."""
        return [job for job in self.all() if self._shows(job)]

    def job(self, job_id: str) -> SimulatedJob | None:
        """Return one job, if the API shows it now."""
        job = self._jobs.get(job_id)
        return job if job is not None and self._shows(job) else None

    def location(self, name: str | None) -> str | None:
        """Return the location that a name stands for."""
        return self.primary_location if name == PRIMARY_LOCATION and self.primary_location else name

    def select(
        self,
        object_type: int = 0,
        job_type: int = 0,
        job_state: int = 0,
        location: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[SimulatedJob]:
        """Return the visible jobs that match, in the world's order; 0 and None mean all."""
        wanted = (object_type, job_type, self.location(location))
        with self._lock:
            matches = self._usual_in_range(self._series(wanted), since, until)
            unusual = [
                job
                for job in self._unusual.values()
                if _fits(job, wanted)
                and self._shows(job)
                and job.in_range(self.reading, since, until, self.now, self.bounds)
            ]
            if unusual:
                matches = sorted(matches + unusual, key=_order)
            if job_state:
                matches = [job for job in matches if job.state(self.now) == STATE_CODES.get(job_state)]
            return self._ordered(matches)

    def _shows(self, job: SimulatedJob) -> bool:
        return job.visible(self.now) and job.start + self.late <= self.now

    def _series(self, wanted: Filter) -> list[SimulatedJob]:
        """Return the usual jobs of a filter, oldest start first; taken from those of a wider filter and kept."""
        if wanted not in self._sorted:
            object_type, job_type, location = wanted
            if job_type:
                matching = [job for job in self._series((object_type, 0, location)) if job.job_type == job_type]
            elif object_type:
                matching = [job for job in self._series((0, 0, location)) if job.object_type == object_type]
            elif location is not None:
                matching = [job for job in self._series((0, 0, None)) if job.location == location]
            else:
                matching = sorted((job for job in self._jobs.values() if job.id not in self._unusual), key=_order)
            self._sorted[wanted] = matching
        return self._sorted[wanted]

    def _series_with(self, job: SimulatedJob) -> list[list[SimulatedJob]]:
        filters = product({0, job.object_type}, {0, job.job_type}, {None, job.location})
        return [self._sorted[key] for key in filters if key in self._sorted]

    def _usual_in_range(
        self, series: list[SimulatedJob], since: datetime | None, until: datetime | None
    ) -> list[SimulatedJob]:
        """Return the jobs of a range.

        Only jobs near its borders are examined: the others are in it in every reading.
        """
        low, high = 0, bisect_right(series, self.now - self.late, key=_start)
        surely_from, surely_to = low, high
        if since is not None:
            low = bisect_left(series, since - USUAL, 0, high, key=_start)
            surely_from = bisect_right(series, since, low, high, key=_start)
        if until is not None and until <= self.now:
            high = bisect_right(series, until, low, high, key=_start)
            surely_to = bisect_left(series, until - USUAL, low, high, key=_start)
        surely_from = min(surely_from, high)
        surely_to = max(surely_to, surely_from)

        def tested(jobs: list[SimulatedJob]) -> list[SimulatedJob]:
            return [job for job in jobs if job.in_range(self.reading, since, until, self.now, self.bounds)]

        return tested(series[low:surely_from]) + series[surely_from:surely_to] + tested(series[surely_to:high])

    def _ordered(self, matches: list[SimulatedJob]) -> list[SimulatedJob]:
        if self.order == "newest":
            matches.reverse()
        elif self.order == "id":
            matches.sort(key=attrgetter("id"))
        elif self.order == "scattered":
            matches.sort(key=lambda job: crc32(job.id.encode()))
        elif self.order == "shuffled":
            self._chance.shuffle(matches)
        return matches
