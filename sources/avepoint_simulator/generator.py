"""Generate tenants at random: the same jobs for the same seed."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from avepoint_simulator.tenant import (
    EXCEPTION,
    FAILED,
    FINISHED,
    JOB_TYPES,
    OBJECT_TYPES,
    PARTIAL,
    TWO_DIGITS,
    JobError,
    SimulatedJob,
    World,
)

DEFAULT_NOW = datetime(2026, 1, 15, 6, 0, tzinfo=UTC)

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
PREFIXES = {1: "FB", 2: "RE", 3: "EX", 4: "DE", 5: "RT"}
_JOB_TYPE_BOUNDS = (80, 88, 92, 96, 100)
"""Shares of the job types in percent, added up."""


class _Shape(NamedTuple):
    """Hold what all jobs of a tenant have in common."""

    now: datetime
    days: float
    locations: tuple[str, ...]
    error_share: float
    make_id: Callable[[int, str, int], str]


def make_world(  # noqa: PLR0913 - the public way to a tenant; all but the number of jobs have defaults
    jobs: int,
    seed: int = 0,
    now: datetime = DEFAULT_NOW,
    days: float = 30,
    locations: tuple[str, ...] = (),
    error_share: float = 0.2,
    id_form: str = "vendor",
) -> World:
    """Return a tenant with ``jobs`` jobs that start within ``days`` before ``now``, and a few after.

    The same ``seed`` makes the same jobs. ``id_form`` is vendor (``ID_PATTERN``) or number (19 digits, which fit 64
    bits).
    """
    chance = random.Random(seed)
    world = World(now)
    ids = {"vendor": _vendor_id, "number": _number_id}[id_form]
    shape = _Shape(now, days, locations, error_share, ids)
    world.put(*(_make_job(chance, number, shape) for number in range(jobs)))
    return world


def _stamp(moment: datetime) -> str:
    two = TWO_DIGITS
    day = f"{moment.year:04}{two[moment.month]}{two[moment.day]}"
    return f"{day}{two[moment.hour]}{two[moment.minute]}{two[moment.second]}"


def _vendor_id(job_type: int, stamp: str, number: int) -> str:
    return f"{PREFIXES[job_type]}{stamp}{number:07d}"


def _number_id(job_type: int, stamp: str, number: int) -> str:
    return f"{stamp[2:]}{number:07d}"


@cache
def _error(text: str, is_code: bool, occurrences: int) -> JobError:
    # One object for all jobs with this error: a million jobs are held in memory.
    return JobError(text, is_code, "https://support.example/kb" if is_code else "", occurrences)


def _make_job(chance: random.Random, number: int, shape: _Shape) -> SimulatedJob:
    start = shape.now - timedelta(shape.days * chance.random() - 0.5)
    start -= timedelta(microseconds=start.microsecond)
    job_type = JOB_TYPES[bisect(_JOB_TYPE_BOUNDS, chance.random() * 100)]
    duration = timedelta(seconds=round(chance.lognormvariate(6.5, 1.2)))
    total = round(chance.lognormvariate(5, 1.5))
    bad = chance.random() < shape.error_share
    failed = min(total, 1 + round(total * chance.random() * 0.2)) if bad else 0
    state = chance.choices((EXCEPTION, PARTIAL, FAILED), weights=(6, 3, 1))[0] if bad else FINISHED
    kinds = chance.sample(ERROR_TEXTS, k=chance.randint(1, 3)) if bad else ()
    object_type = chance.choice(OBJECT_TYPES)
    location = chance.choice(shape.locations) if shape.locations else None
    skipped = chance.randint(0, 2) if total - failed >= 2 else 0
    errors = tuple([_error(text, is_code, chance.randint(1, 9)) for text, is_code in kinds])
    job_id = shape.make_id(job_type, _stamp(start), number)
    # By position, since names double what it costs.
    return SimulatedJob(
        job_id, object_type, job_type, location, start, start + duration, state, total, failed, skipped, errors
    )
