"""Do the work of a load beside its look: follow open jobs, reconcile, learn state words, detect API behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.detect import detect_range_filter, telling_job
from avepoint_m365.extract.follow import follow, given_up
from avepoint_m365.extract.known import KnownJob, Lookup, OpenJob
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.look import LONG_RANGE, Look
from avepoint_m365.extract.options import Reconciliation, SourceFinding
from avepoint_m365.extract.reconcile import DAILY_PERIOD, Reconciled, Reconciler
from avepoint_m365.extract.window import EDGE
from avepoint_m365.extract.words import is_known_word, learn
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import ApiBehavior, is_due

if TYPE_CHECKING:
    from avepoint_m365.extract.extraction import ChunkReader

RANGE_FILTER_TTL = timedelta(days=7)
"""The times that a range is compared with are detected again after this long, or if a reconciliation fails."""


LONG_JOB = timedelta(days=2)
"""A job that has been in progress for longer does not shorten what the daily reconciliation compares."""


@dataclass
class Upkeep:
    """Hold the results that are not in the look.

    Attributes:
        listings: Listings that may hold further jobs.
        missing_open: Jobs in progress that the API no longer shows.
        open_jobs: Jobs that the warehouse holds as in progress.
        behavior: What is known of the API now; None if nothing was detected.
    """

    listings: list[Listing] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    reconciliations: list[Reconciliation] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    open_jobs: list[OpenJob] = field(default_factory=list)
    missing_open: list[str] = field(default_factory=list)
    behavior: ApiBehavior | None = None


def look_after(chunk: ChunkReader, look: Look, known: dict[str, KnownJob]) -> Upkeep:
    """Return what is to be done beside a look.

    Raises:
        SourceError: if no further request can succeed.
    """
    upkeep = Upkeep(behavior=chunk.behavior)
    if chunk.lookup is not None and not chunk.is_range:
        _follow_open_jobs(chunk, chunk.lookup, look, upkeep)
        if look.chunk_end is None and chunk.state.look.chunk_end is None:
            # Within a long range the later chunks are missing: they are no difference.
            _reconcile(chunk, chunk.lookup, look, _new_jobs(look, known), upkeep)
    elif chunk.lookup is None and not chunk.is_range and look.chunk_end is None:
        # First: while it is unknown which jobs a range holds, the days at the borders of months seem to differ.
        _detect_range_filter(chunk, look, upkeep)
        _reconcile_first_load(chunk, look, upkeep)
    _detect_range_filter(chunk, look, upkeep)
    _learn_words(chunk, look, upkeep)
    return upkeep


def verify_history(chunk: ChunkReader, lookup: Lookup, since: datetime) -> Upkeep:
    """Return the comparison of a history with the API's totals, and what was read again where they differ."""
    upkeep, until = Upkeep(behavior=chunk.behavior), chunk.options.until

    def count(start: datetime, end: datetime) -> int | None:
        return lookup.count(start, end, chunk.behavior.range_filter, None, _names(types))

    types = chunk.options.listed_types
    reconciler = Reconciler(chunk.reader, chunk.limits, count, "verify", None, types)
    _take(upkeep, reconciler.compare_by_month(since, until))
    return upkeep


def _is_daily(chunk: ChunkReader) -> bool:
    return is_due(chunk.behavior.reconciled_at, chunk.options.until)


def _follow_open_jobs(chunk: ChunkReader, lookup: Lookup, look: Look, upkeep: Upkeep) -> None:
    """Ask for jobs in progress that the look does not show: those that were shown last time, and all others daily."""
    upkeep.open_jobs = lookup.open_jobs()
    ids, asked_before = look.ids, set(chunk.state.look.missing_open)
    gone = [job for job in upkeep.open_jobs if job.id not in ids]
    wanted = gone if _is_daily(chunk) else [job for job in gone if job.id not in asked_before]
    missing = asked_before & {job.id for job in gone}
    if wanted and all(listing.complete for listing in look.listings):
        followed = follow(chunk.reader, wanted, chunk.job_by_id, look.window)
        upkeep.listings += followed.listings
        missing = missing - {job.id for job in wanted} | {job.id for job in followed.missing}
    upkeep.missing_open = sorted(missing)
    shown = [look.jobs, *([deduplicate_latest(upkeep.listings)] if upkeep.listings else [])]
    ended = {job_id for jobs in shown for job_id in jobs.filter(pc.is_valid(jobs["finish_time"]))["id"].to_pylist()}
    still_open = [job for job in upkeep.open_jobs if job.id not in ended]
    upkeep.findings += given_up(still_open, missing, chunk.options.until, chunk.options.max_open)


def _new_jobs(look: Look, known: Mapping[str, KnownJob]) -> pa.Table:
    """Return the jobs of a look that the warehouse does not hold yet."""
    return look.jobs.filter(pc.invert(pc.is_in(look.jobs["id"], pa.array(list(known), pa.string()))))


def _reconcile(chunk: ChunkReader, lookup: Lookup, look: Look, new_jobs: pa.Table, upkeep: Upkeep) -> None:
    """Compare the last days with the API's total, once a day.

    ``new_jobs`` are loaded in any case, so they count as held; their location is not known yet.
    """
    if not _is_daily(chunk) or chunk.state.look.cursor is None:
        return
    options, behavior = chunk.options, chunk.behavior

    start, end = _daily_period(chunk, look, upkeep.open_jobs)
    for location in (None, *options.locations):

        def count(first: datetime, last: datetime, location: str | None = location) -> int | None:
            stored = lookup.count(first, last, behavior.range_filter, location, _names(options.listed_types))
            return None if stored is None else stored + count_jobs(new_jobs, first, last, behavior.range_filter)

        reconciler = Reconciler(chunk.reader, chunk.limits, count, "daily", location, options.listed_types)
        _take(upkeep, reconciler.compare(start, end))
    upkeep.behavior = replace(behavior, reconciled_at=options.until)


def _daily_period(chunk: ChunkReader, look: Look, open_jobs: Sequence[OpenJob]) -> tuple[datetime, datetime]:
    """Return the last days up to the jobs in progress: an API may count these anywhere, and the look has proved them.

    While it is unknown which times the API compares with a range, no job is known that continued past a midnight:
    from midnight to midnight all readings count the same jobs.
    """
    until = chunk.options.until
    start = max(until - DAILY_PERIOD, chunk.state.look.history_start or chunk.options.start_date)
    shown = look.jobs.filter(pc.is_null(look.jobs["finish_time"]))["start_time"].to_pylist()
    begun = [moment for moment in (*shown, *(job.start_time for job in open_jobs)) if moment]
    end = min([until, *(moment - EDGE for moment in begun if moment > until - LONG_JOB)])
    if chunk.behavior.range_filter is None:
        start, end = (moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in (start, end))
    return min(start, end), end


def _reconcile_first_load(chunk: ChunkReader, look: Look, upkeep: Upkeep) -> None:
    """Compare the months of a first load with the API's totals, if its history is longer than one range."""
    if not look.jobs.num_rows:
        # Each load of a tenant without jobs is a first one. Nothing may change in its state, which would be written.
        return
    span = _span(look.jobs)
    behavior = upkeep.behavior or chunk.behavior
    if span and span[1] - span[0] > LONG_RANGE and chunk.limits.longest is None:

        def count(start: datetime, end: datetime) -> int | None:
            return count_jobs(look.jobs, start, end, behavior.range_filter)

        types = chunk.options.listed_types
        reconciler = Reconciler(chunk.reader, chunk.limits, count, "first_load", None, types)
        _take(upkeep, reconciler.compare_by_month(span[0], min(span[1], chunk.options.until)))
    upkeep.behavior = replace(behavior, reconciled_at=chunk.options.until)


def _names(types: Sequence[ObjectType]) -> list[str]:
    return [kind.name for kind in types]


def _take(upkeep: Upkeep, reconciled: Reconciled) -> None:
    upkeep.reconciliations += reconciled.rows
    upkeep.listings += reconciled.listings


def _detect_range_filter(chunk: ChunkReader, look: Look, upkeep: Upkeep) -> None:
    """Detect which times of a job a range is compared with, where a job can tell."""
    behavior, now = upkeep.behavior or chunk.behavior, chunk.options.until
    failed = any(row.proof is False for row in upkeep.reconciliations)
    needed = not chunk.is_range or look.chunk_end is not None
    if not needed or not (failed or is_due(behavior.range_filter_at, now, RANGE_FILTER_TTL)):
        return
    if (job := telling_job(look.jobs, look.window.asked_end)) is not None:
        range_filter = detect_range_filter(chunk.reader, *job)
        upkeep.behavior = replace(behavior, range_filter=range_filter.value, range_filter_at=now)


def _learn_words(chunk: ChunkReader, look: Look, upkeep: Upkeep) -> None:
    """Learn the code of state words that are in no documentation, at most five requests a day."""
    behavior, now = upkeep.behavior or chunk.behavior, chunk.options.until
    if not is_due(behavior.words_at, now):
        return
    words = {word for word in look.jobs["state"].to_pylist() if word}
    known = chunk.lookup.state_words() if chunk.lookup else {}
    if all(word in known or is_known_word(word) for word in words):
        return
    upkeep.words = learn(chunk.reader, words, known, look.window)
    upkeep.behavior = replace(behavior, words_at=now)


def _span(jobs: pa.Table) -> tuple[datetime, datetime] | None:
    starts, ends = (pc.min_max(jobs[name]).as_py() for name in ("start_time", "finish_time"))
    return (starts["min"], ends["max"] or starts["max"]) if starts["min"] else None


def count_jobs(jobs: pa.Table, start: datetime, end: datetime, range_filter: str | None) -> int:
    """Return how many jobs (``FRAME``) the API would count in a range (UTC); the fewest if that is unknown."""

    def between(name: str) -> pa.ChunkedArray:
        first = pc.greater_equal(jobs[name], pa.scalar(start, TIME))
        return pc.and_kleene(first, pc.less_equal(jobs[name], pa.scalar(end, TIME)))

    starts = pc.sum(pc.fill_null(between("start_time"), False)).as_py() or 0
    finishes = pc.sum(pc.fill_null(between("finish_time"), False)).as_py() or 0
    return {"start": starts, "finish": finishes, "overlap": finishes}.get(range_filter or "", min(starts, finishes))
