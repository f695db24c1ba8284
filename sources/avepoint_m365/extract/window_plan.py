"""Plan the window that a load reads, and the state that it keeps for the next load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.chunks import after_chunk, resume_at
from avepoint_m365.extract.options import BACKFILL_TTL, ExtractOptions
from avepoint_m365.extract.scan import Scan
from avepoint_m365.extract.upkeep import Upkeep
from avepoint_m365.extract.window import EDGE, Interval, Window
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import DETECTION_TTL, ApiBehavior, BackfillState, ScanState, SourceState


def plan_window(options: ExtractOptions, state: SourceState, interval: Interval | None) -> Window:
    """Return the window that a load reads.

    Raises:
        ConfigurationError: if the interval of an external scheduler is empty or lies in the future.
    """
    if interval is not None:
        check_interval(options, interval)
        return _range_window(options, state, *interval)
    if options.since is not None:
        return _range_window(options, state, options.since, None)
    scan, behavior = state.scan, state.behavior
    if reached := resume_at(scan, options.run_id):
        return _next_chunk_window(options, behavior, reached, scan.history_start or options.start_date)
    return options.window(_scan_start(options, scan, behavior))


def check_interval(options: ExtractOptions, interval: Interval) -> None:
    """Raise an error if the interval of an external scheduler is empty or lies in the future.

    Raises:
        ConfigurationError: if it is; with the interval and the variables that set it.
    """
    start, end = interval
    if start < end and start < options.until:
        return
    raise ConfigurationError(
        f"Empty interval: the scheduler's {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC leaves nothing to load at "
        f"{options.until:%Y-%m-%d %H:%M} UTC. Correct DLT_INTERVAL_START and DLT_INTERVAL_END, or the scheduler that "
        "sets the interval of this run."
    )


def backfill_of(options: ExtractOptions, state: SourceState, interval: Interval | None) -> BackfillState:
    """Return the progress of this load's range; an empty one for another range, or after ``BACKFILL_TTL``."""
    since, until = interval or (options.since, None)
    assert since is not None
    span = f"{since.isoformat()}/{until.isoformat() if until else options.backfill_until}"
    earlier = state.backfill
    stale = earlier.began_at is not None and options.until - earlier.began_at >= BACKFILL_TTL
    return earlier if earlier.range == span and not stale else BackfillState(range=span)


def _range_window(options: ExtractOptions, state: SourceState, since: datetime, until: datetime | None) -> Window:
    backfill = backfill_of(options, state, (since, until) if until else None)
    if reached := resume_at(backfill, options.run_id):
        return _next_chunk_window(options, state.behavior, reached, since, until)
    return options.window(since, until)


def _next_chunk_window(
    options: ExtractOptions, behavior: ApiBehavior, reached: datetime, begin: datetime, until: datetime | None = None
) -> Window:
    """Return the window of a chunk after the first, of a range that begins at ``begin``.

    The API may return only jobs that lie in the range as a whole. Then a job across the border of two chunks is in
    neither of them, so the query begins ``max_open`` earlier.
    """
    window = options.window(reached, until)
    if not behavior.holds_contained_jobs_only:
        return window
    return window._replace(extended_start=max(reached - options.max_open, begin))


def _scan_start(options: ExtractOptions, scan: ScanState, behavior: ApiBehavior) -> datetime:
    """Return the start of an incremental scan: the lag behind the cursor, or the oldest open job if that is earlier.

    A range may lack jobs that began before it. A job that the API lists late may have started long before its finish,
    so the scan then begins ``max_open`` earlier. ``start_date`` counts for the first load alone: a later value must
    not leave a gap.
    """
    begin = scan.history_start or options.start_date
    cursor = scan.cursor
    if cursor is None:
        return begin
    lag = options.lag + (options.max_open if behavior.may_hide_long_jobs else timedelta())
    start = max(cursor - lag - EDGE, begin)
    return min(start, scan.oldest_open - EDGE) if scan.oldest_open else start


def next_state(
    chunk: Chunk, scan: Scan, result: ChunkResult, behavior: ApiBehavior, upkeep: Upkeep, retry_labels: bool
) -> SourceState:
    """Return the state to keep once the rows of a chunk are written."""
    options, state = chunk.options, chunk.state
    now = options.until
    if options.verify_since is not None:
        return state._replace(behavior=behavior)
    if chunk.is_range:
        backfill = backfill_of(options, state, chunk.interval)
        after, _ = after_chunk(backfill, scan.window, result.complete, scan.chunk_end, options.run_id, now)
        return state._replace(behavior=behavior, backfill=after if scan.chunk_end else BackfillState())
    after_scan, known_until = after_chunk(state.scan, scan.window, result.complete, scan.chunk_end, options.run_id, now)
    begin = min(state.scan.history_start or scan.window.query_start, scan.window.query_start)
    after_scan = after_scan._replace(
        history_start=begin, retry_labels=_retries_again(state.scan, scan, result, retry_labels)
    )
    if after_scan.gap_start is None:
        after_scan = _advance(after_scan, scan, now, known_until)
        after_scan = after_scan._replace(
            oldest_open=_oldest_open(options, state.scan, scan, upkeep),
            missing_open=tuple(upkeep.missing_open),
        )
    return state._replace(behavior=behavior, scan=after_scan)


def _retries_again(before: ScanState, scan: Scan, result: ChunkResult, lacks_labels: bool) -> bool:
    """Return whether the next chunk or load classifies jobs without a label again: once after a complete load.

    While a listing for labels fails, each load tries again. Each chunk classifies its own jobs alone, so that the chunk
    of the job may come later, or in the next load.
    """
    if not result.complete or scan.chunk_end is not None or before.chunk_end is not None:
        return lacks_labels or before.retry_labels
    return lacks_labels and not before.retry_labels


def _advance(state: ScanState, scan: Scan, now: datetime, known_until: datetime) -> ScanState:
    """Return the state with the cursor at the newest finish; a finish in the future does not count.

    It would stop the cursor until that time.
    """
    finished = scan.jobs["finish_time"]
    newest: datetime | None = pc.max(finished.filter(pc.less_equal(finished, pa.scalar(now, TIME)))).as_py()
    cursor = state.cursor
    if newest is not None:
        newest = min(newest.astimezone(UTC), known_until)
        cursor = max(cursor, newest) if cursor else newest
    if cursor is None:
        # The first responses of a tenant may be empty by mistake. Until a job was read, loads begin at history_start.
        return state
    until, end = state.complete_until, min(scan.window.end, known_until)
    if until is None or end - until >= DETECTION_TTL or cursor != state.cursor or until > now:
        until = end
    return state._replace(cursor=cursor, complete_until=until)


def _oldest_open(options: ExtractOptions, state: ScanState, scan: Scan, upkeep: Upkeep) -> datetime | None:
    """Return the start (UTC) of the oldest job in progress that scans follow; None without such a job."""
    earliest = options.until - options.max_open
    jobs = scan.jobs.filter(pc.is_null(scan.jobs["finish_time"]))
    starts = [start for start in jobs["start_time"].to_pylist() if start]
    seen = scan.ids
    starts += [job.start_time for job in upkeep.open_jobs if job.start_time and job.id not in seen]
    missing = {job.start_time for job in upkeep.open_jobs if job.id in upkeep.missing_open}
    if state.chunk_end and state.oldest_open and not upkeep.open_jobs:
        # Earlier chunks may hold open jobs that this one does not.
        starts.append(state.oldest_open)
    return min((start for start in starts if start >= earliest and start not in missing), default=None)
