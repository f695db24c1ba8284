"""Apply rules to whole rows: impossible starts and finishes, missing durations, and rows that repeat a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.parse.frame import REAL, TIME
from avepoint_m365.parse.states import is_ended, is_in_progress

SLACK = timedelta(days=1)
"""The most that clocks and time zones may differ; a time beyond that is impossible."""

_HOUR = 3_600_000_000


def _set(jobs: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return jobs.set_column(jobs.schema.get_field_index(name), jobs.schema.field(name), values)


def _matches(states: pa.Array, condition: Callable[[str | None], bool]) -> pa.Array:
    """Return for each row whether its state fulfils a condition, which is evaluated once for each word."""
    words = [word for word in pc.unique(states).to_pylist() if condition(word)]
    return pc.is_in(states, pa.array(words, states.type))


def drop_impossible_starts(jobs: pa.Table, now: datetime, report: Callable[[int, object], None]) -> pa.Table:
    """Return the jobs with null for each start more than ``SLACK`` after ``now`` (UTC), such as a placeholder.

    ``report`` receives the row and the start of each such job.
    """
    start = jobs["start_time"]
    ahead = pc.fill_null(pc.greater(start, pa.scalar(_shift(now, SLACK), TIME)), False)
    for row in pc.indices_nonzero(ahead.combine_chunks()).to_pylist():
        report(row, start[row].cast(pa.string()).as_py())
    return _set(jobs, "start_time", pc.if_else(ahead, pa.scalar(None, TIME), start))


def drop_impossible_finishes(jobs: pa.Table, now: datetime, report: Callable[[int, object], None]) -> pa.Table:
    """Return the jobs with null for each impossible finish.

    1. A job in progress has no finish; the API may send a placeholder.
    2. A finish more than ``SLACK`` after ``now`` (UTC) is impossible.
    3. In an unknown state, so is a finish more than ``SLACK`` before the start.

    ``report`` receives the row and the finish of jobs that have ended, whose finish is then missing.
    """
    state, start, finish = (jobs[name] for name in ("state", "start_time", "finish_time"))
    ended = _matches(state, is_ended)
    ahead = pc.greater(finish, pa.scalar(_shift(now, SLACK), TIME))
    before = pc.less(pc.add(finish, pa.scalar(SLACK, pa.duration("us"))), start)
    strange = pc.or_(pc.fill_null(ahead, False), pc.and_not(pc.fill_null(before, False), ended))
    impossible = pc.or_(_matches(state, is_in_progress), strange)
    reported = pc.indices_nonzero(pc.and_(strange, ended).combine_chunks()).to_pylist()
    for row in reported:
        report(row, finish[row].cast(pa.string()).as_py())
    return _set(jobs, "finish_time", pc.if_else(impossible, pa.scalar(None, TIME), finish))


def _shift(moment: datetime, by: timedelta) -> datetime:
    """Return ``moment`` plus ``by``, at most the last time that Python has."""
    latest = datetime.max.replace(tzinfo=UTC)
    return moment + by if moment < latest - by else latest


def fill_durations(jobs: pa.Table) -> pa.Table:
    """Return the jobs with each missing duration computed from start and finish, if a job has both."""
    elapsed = pc.subtract(jobs["finish_time"].cast(pa.int64()), jobs["start_time"].cast(pa.int64()))
    # A safe cast refuses more than 285 years, which lie between a placeholder and a time.
    hours = pc.divide(elapsed.cast(REAL, safe=False), float(_HOUR))
    return _set(jobs, "duration_hours", pc.coalesce(jobs["duration_hours"], hours))


def keep_newer_rows(jobs: pa.Table) -> pa.Table:
    """Return each job of a page once.

    A row that is not in progress precedes others, then the later finish, then the later row.
    """
    ids: Sequence[str] = jobs["id"].to_pylist()
    if len(set(ids)) == len(ids):
        return jobs
    progress = _matches(jobs["state"], is_in_progress).to_pylist()
    finishes = jobs["finish_time"].cast(pa.int64()).to_pylist()
    best: dict[str, int] = {}
    for row, job_id in enumerate(ids):
        other = best.setdefault(job_id, row)
        if _rank(row, progress, finishes) > _rank(other, progress, finishes):
            best[job_id] = row
    return jobs.take(pa.array(sorted(best.values()), pa.int64()))


def _rank(row: int, progress: Sequence[bool], finishes: Sequence[int | None]) -> tuple[object, ...]:
    return (not progress[row], finishes[row] is not None, finishes[row], row)
