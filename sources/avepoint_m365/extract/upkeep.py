"""Do the upkeep of a load after its scan: follow open jobs, reconcile, learn state words, detect API behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_classifier import dimensions
from avepoint_m365.extract.chunk_labels import ids_without_labels, known_labels
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.detect import detect_range_filter, longest_overnight_job
from avepoint_m365.extract.follow import follow_open_jobs, hidden_job_findings, unfollowed_findings
from avepoint_m365.extract.known import KnownJob, Lookup, OpenJob, compare
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.reconcile import DAILY_PERIOD, CountJobs, Reconciled, Reconciler, Stored
from avepoint_m365.extract.reconciliation import Reconciliation
from avepoint_m365.extract.scan import LONG_RANGE, Scan
from avepoint_m365.extract.source_finding import SourceFinding
from avepoint_m365.extract.state_words import is_known_state_word, learn_state_codes
from avepoint_m365.extract.window import EDGE
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import ApiBehavior, RangeFilter, is_due

RANGE_FILTER_TTL = timedelta(days=7)
"""``RangeFilter`` is detected again after this long, or if a reconciliation fails."""

LONG_JOB = timedelta(days=2)
"""The daily reconciliation ends before the oldest job in progress, unless that has been running for longer."""


@dataclass
class Upkeep:
    """Hold the results of the upkeep.

    Attributes:
        listings: Listings whose jobs may be missing in the scan.
        findings: Rows of ``load_check_failures``.
        reconciliations: Rows of ``reconciliations``.
        state_words: Codes of state words that were learned, by word.
        open_jobs: Jobs that the warehouse holds as in progress.
        missing_open: Ids of jobs in progress that the API no longer returns.
        behavior: The API behaviour after detection; None if nothing was detected.
    """

    listings: list[Listing] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    reconciliations: list[Reconciliation] = field(default_factory=list)
    state_words: dict[str, int] = field(default_factory=dict)
    open_jobs: list[OpenJob] = field(default_factory=list)
    missing_open: list[str] = field(default_factory=list)
    behavior: ApiBehavior | None = None

    def add(self, reconciled: Reconciled) -> None:
        """Add the rows and listings of a reconciliation."""
        self.reconciliations += reconciled.rows
        self.listings += reconciled.listings


def run_upkeep(chunk: Chunk, scan: Scan, known: dict[str, KnownJob]) -> Upkeep:
    """Do the upkeep after a scan, and return its results.

    Raises:
        SourceError: if no further request can succeed.
    """
    upkeep = Upkeep(behavior=chunk.behavior)
    if chunk.lookup is not None and not chunk.is_range:
        _follow_open_jobs(chunk, chunk.lookup, scan, upkeep)
        new_jobs = _new_jobs(scan, known)
        if not upkeep.open_jobs and not scan.jobs["finish_time"].null_count:
            upkeep.findings += hidden_job_findings(new_jobs, chunk.state.scan.complete_until)
        if scan.chunk_end is None and chunk.state.scan.chunk_end is None:
            # Before the last chunk of a long range the warehouse lacks the later ones, which is no difference.
            _reconcile(chunk, chunk.lookup, scan, new_jobs, upkeep)
    elif chunk.lookup is None and not chunk.is_range and scan.chunk_end is None:
        # The comparison by month needs the meaning of a range: otherwise jobs at the borders of months seem to differ.
        _detect_range_filter(chunk, scan, upkeep)
        _reconcile_first_load(chunk, scan, upkeep)
    _detect_range_filter(chunk, scan, upkeep)
    _learn_words(chunk, scan, upkeep)
    return upkeep


def verify_history(chunk: Chunk, lookup: Lookup, since: datetime) -> Upkeep:
    """Return the comparison of a history with the API's totals, and the listings of the periods that differ.

    Raises:
        SourceError: if no further request can succeed.
    """
    upkeep, until = Upkeep(behavior=chunk.behavior), chunk.options.until

    def count(start: datetime, end: datetime) -> int | None:
        return lookup.count(start, end, chunk.behavior.range_filter, None, _names(types))

    types = chunk.options.listed_types
    reconciler = Reconciler(chunk.reader, chunk.limits, _stored(chunk, count, labels=True), "verify", None, types)
    upkeep.add(reconciler.compare_by_month(since, until))
    return upkeep


def _is_daily(chunk: Chunk) -> bool:
    return is_due(chunk.behavior.reconciled_at, chunk.options.until)


def _follow_open_jobs(chunk: Chunk, lookup: Lookup, scan: Scan, upkeep: Upkeep) -> None:
    """Request jobs in progress that the scan lacks: those that are too old or were missing before only once a day."""
    upkeep.open_jobs = lookup.open_jobs()
    scanned_ids, missing_before = scan.ids, set(chunk.state.scan.missing_open)
    not_scanned = [job for job in upkeep.open_jobs if job.id not in scanned_ids]
    oldest = chunk.options.until - chunk.options.max_open
    given_up = missing_before | {job.id for job in not_scanned if job.start_time and job.start_time < oldest}
    to_follow = [job for job in not_scanned if _is_daily(chunk) or job.id not in given_up]
    missing = missing_before & {job.id for job in not_scanned}
    if to_follow and all(listing.complete for listing in scan.listings):
        followed = follow_open_jobs(chunk.reader, to_follow, chunk.job_by_id, scan.window)
        upkeep.listings += followed.listings
        missing = missing - {job.id for job in to_follow} | {job.id for job in followed.missing}
    upkeep.missing_open = sorted(missing)
    tables = [scan.jobs, *([deduplicate_latest(upkeep.listings)] if upkeep.listings else [])]
    ended = {job_id for jobs in tables for job_id in jobs.filter(pc.is_valid(jobs["finish_time"]))["id"].to_pylist()}
    still_open = [job for job in upkeep.open_jobs if job.id not in ended]
    upkeep.findings += unfollowed_findings(still_open, missing, chunk.options.until, chunk.options.max_open)


def _new_jobs(scan: Scan, known: Mapping[str, KnownJob]) -> pa.Table:
    """Return the jobs of a scan that the warehouse does not hold yet."""
    return scan.jobs.filter(pc.invert(pc.is_in(scan.jobs["id"], pa.array(list(known), pa.string()))))


def _reconcile(chunk: Chunk, lookup: Lookup, scan: Scan, new_jobs: pa.Table, upkeep: Upkeep) -> None:
    """Compare the last days with the API's total, once a day and for each location.

    ``new_jobs`` count as stored, since this load writes them. They count for each location: theirs is still unknown.
    """
    if not _is_daily(chunk) or chunk.state.scan.cursor is None:
        return
    options, behavior = chunk.options, chunk.behavior
    start, end = _daily_period(chunk, scan, upkeep.open_jobs)
    for location in (None, *options.locations):

        def count(first: datetime, last: datetime, location: str | None = location) -> int | None:
            stored = lookup.count(first, last, behavior.range_filter, location, _names(options.listed_types))
            return None if stored is None else stored + count_jobs(new_jobs, first, last, behavior.range_filter)

        stored = _stored(chunk, count)
        reconciler = Reconciler(chunk.reader, chunk.limits, stored, "daily", location, options.listed_types)
        upkeep.add(reconciler.compare(start, end))
    upkeep.behavior = behavior._replace(reconciled_at=options.until)


def _daily_period(chunk: Chunk, scan: Scan, open_jobs: Sequence[OpenJob]) -> tuple[datetime, datetime]:
    """Return the last days (UTC) up to the oldest job in progress, which an API may count in any range.

    While ``RangeFilter`` is unknown, no job is known that continued past midnight. Then all its values count the same
    jobs from midnight to midnight.
    """
    until = chunk.options.until
    start = max(until - DAILY_PERIOD, chunk.state.scan.history_start or chunk.options.start_date)
    starts = scan.jobs.filter(pc.is_null(scan.jobs["finish_time"]))["start_time"].to_pylist()
    starts += [job.start_time for job in open_jobs]
    end = min([until, *(moment - EDGE for moment in starts if moment and moment > until - LONG_JOB)])
    if chunk.behavior.range_filter is None:
        start, end = (moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in (start, end))
    return min(start, end), end


def _reconcile_first_load(chunk: Chunk, scan: Scan, upkeep: Upkeep) -> None:
    """Compare the months of a first load with the API's totals, if its history is longer than ``LONG_RANGE``."""
    if not scan.jobs.num_rows:
        # Each load of a tenant without jobs is a first load. A change of its state would be written each time.
        return
    history = _time_span(scan.jobs)
    behavior = upkeep.behavior or chunk.behavior
    if history and history[1] - history[0] > LONG_RANGE and chunk.limits.longest is None:

        def count(start: datetime, end: datetime) -> int | None:
            return count_jobs(scan.jobs, start, end, behavior.range_filter)

        types = chunk.options.listed_types
        reconciler = Reconciler(chunk.reader, chunk.limits, Stored(count), "first_load", None, types)
        upkeep.add(reconciler.compare_by_month(history[0], min(history[1], chunk.options.until)))
    upkeep.behavior = behavior._replace(reconciled_at=chunk.options.until)


def _stored(chunk: Chunk, count: CountJobs, labels: bool = False) -> Stored:
    """Return the access to the warehouse, with a function that counts its jobs in a range.

    ``labels``: a job without a label counts as lacking, as one in another state does.
    """
    wanted = [dimension.name for dimension in dimensions(chunk.options)] if labels else []

    def lacks_any(listings: Sequence[Listing]) -> bool:
        jobs = deduplicate_latest(listings)
        comparison = compare(jobs, chunk.known_jobs(jobs["id"].to_pylist()), chunk.options.until)
        unlabelled = ids_without_labels(comparison.ids, known_labels(comparison.known), wanted)
        return bool(comparison.new or comparison.changed or any(unlabelled.values()))

    return Stored(count, lacks_any)


def _names(types: Sequence[ObjectType]) -> list[str]:
    return [kind.name for kind in types]


def _detect_range_filter(chunk: Chunk, scan: Scan, upkeep: Upkeep) -> None:
    """Detect ``RangeFilter`` if it is due and the scan holds a job that continued past midnight."""
    behavior, now = upkeep.behavior or chunk.behavior, chunk.options.until
    failed = any(row.proof is False for row in upkeep.reconciliations)
    needed = not chunk.is_range or scan.chunk_end is not None
    if not needed or not (failed or is_due(behavior.range_filter_at, now, RANGE_FILTER_TTL)):
        return
    if (job := longest_overnight_job(scan.jobs, scan.window.query_end)) is not None:
        range_filter = detect_range_filter(chunk.reader, *job)
        upkeep.behavior = behavior._replace(range_filter=range_filter.value, range_filter_at=now)


def _learn_words(chunk: Chunk, scan: Scan, upkeep: Upkeep) -> None:
    """Learn the codes of undocumented state words, with at most five requests a day."""
    behavior, now = upkeep.behavior or chunk.behavior, chunk.options.until
    if not is_due(behavior.words_at, now):
        return
    words = {word for word in pc.unique(scan.jobs["state"]).to_pylist() if word}
    known = chunk.lookup.state_words() if chunk.lookup else {}
    if all(word in known or is_known_state_word(word) for word in words):
        return
    upkeep.state_words = learn_state_codes(chunk.reader, words, known, scan.window)
    upkeep.behavior = behavior._replace(words_at=now)


def _time_span(jobs: pa.Table) -> tuple[datetime, datetime] | None:
    """Return the first start and the last finish of jobs (UTC), or the last start without a finish; None if empty."""
    starts, ends = (pc.min_max(jobs[name]).as_py() for name in ("start_time", "finish_time"))
    return (starts["min"], ends["max"] or starts["max"]) if starts["min"] else None


def count_jobs(jobs: pa.Table, start: datetime, end: datetime, range_filter: str | None) -> int:
    """Return how many jobs (``FRAME``) the API would count in a range (UTC); at least so many if that is unknown."""

    def count_within(name: str) -> int:
        not_before = pc.greater_equal(jobs[name], pa.scalar(start, TIME))
        within = pc.and_kleene(not_before, pc.less_equal(jobs[name], pa.scalar(end, TIME)))
        return pc.sum(pc.fill_null(within, False)).as_py() or 0

    starts, finishes = count_within("start_time"), count_within("finish_time")
    if range_filter == RangeFilter.start:
        return starts
    if range_filter == RangeFilter.finish:
        return finishes
    return min(starts, finishes)
