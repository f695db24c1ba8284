"""Plan the window that a load asks for, and the state that it keeps for the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract.chunks import after_chunk, resume_at
from avepoint_m365.extract.options import BACKFILL_TTL, ChunkResult, ExtractOptions
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.parse.frame import TIME
from avepoint_m365.state import DETECTION_TTL, ApiBehavior, BackfillState, LookState, SourceState

if TYPE_CHECKING:
    from avepoint_m365.extract.extraction import ChunkReader, Interval
    from avepoint_m365.extract.look import Look
    from avepoint_m365.extract.upkeep import Upkeep


def plan_window(options: ExtractOptions, state: SourceState, interval: Interval | None) -> Window:
    """Return the window that a load asks for.

    Raises:
        ConfigurationError: if an external scheduler's interval holds nothing.
    """
    if interval is not None:
        check_interval(options, interval)
        return _range_window(options, state, *interval)
    if options.since is not None:
        return _range_window(options, state, options.since, None)
    look, behavior = state.look, state.behavior
    if reached := resume_at(look, options.run_id):
        return _continue(options, behavior, reached, look.history_start or options.start_date)
    return options.window(_look_start(options, look, behavior))


def check_interval(options: ExtractOptions, interval: Interval) -> None:
    """Refuse an external scheduler's interval in which nothing can lie.

    Raises:
        ConfigurationError: with the interval and the variables that set it.
    """
    start, end = interval
    if start < end and start < options.until:
        return
    raise ConfigurationError(
        f"Empty interval: the scheduler's {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC leaves nothing to load at "
        f"{options.until:%Y-%m-%d %H:%M} UTC. Look at DLT_INTERVAL_START and DLT_INTERVAL_END, or at what sets the "
        "interval of this run."
    )


def backfill_of(options: ExtractOptions, state: SourceState, interval: Interval | None) -> BackfillState:
    """Return how far the range of this load came; a new start if it is another range, or broke off long ago."""
    since, until = interval or (options.since, None)
    assert since is not None
    span = f"{since.isoformat()}/{until.isoformat() if until else options.backfill_until}"
    earlier = state.backfill
    stale = earlier.began_at is not None and options.until - earlier.began_at >= BACKFILL_TTL
    return earlier if earlier.range == span and not stale else BackfillState(range=span)


def _range_window(options: ExtractOptions, state: SourceState, since: datetime, until: datetime | None) -> Window:
    backfill = backfill_of(options, state, (since, until) if until else None)
    if reached := resume_at(backfill, options.run_id):
        return _continue(options, state.behavior, reached, since, until)
    return options.window(since, until)


def _continue(
    options: ExtractOptions, behavior: ApiBehavior, reached: datetime, begin: datetime, until: datetime | None = None
) -> Window:
    """Return the window of a chunk after the first, of a range that begins at ``begin``.

    If a range may hold only jobs that lie in it as a whole, a job across the border of two chunks is in neither. So the
    chunk is asked for from ``max_open`` earlier.
    """
    window = options.window(reached, until)
    if not behavior.holds_contained_jobs_only:
        return window
    return replace(window, asked_start=max(reached - options.max_open, begin))


def _look_start(options: ExtractOptions, look: LookState, behavior: ApiBehavior) -> datetime:
    """Return where an incremental look begins: the lag behind the cursor, and back to the oldest open job.

    If a range may lack jobs that began before it, a job that shows up late may have started long before its finish: the
    look then begins ``max_open`` earlier as well. ``start_date`` counts for the first load alone: moved later, it must
    not leave a hole.
    """
    begin = look.history_start or options.start_date
    cursor = look.cursor
    if cursor is None:
        return begin
    lag = options.lag + (options.max_open if behavior.may_hide_long_jobs else timedelta())
    start = max(cursor - lag - EDGE, begin)
    return min(start, look.oldest_open - EDGE) if look.oldest_open else start


def next_state(
    chunk: ChunkReader, look: Look, outcome: ChunkResult, behavior: ApiBehavior, upkeep: Upkeep, retry_labels: bool
) -> SourceState:
    """Return the state to keep once the rows of an outcome are written."""
    options, state = chunk.options, chunk.state
    now = options.until
    if options.verify_since is not None:
        return replace(state, behavior=behavior)
    if chunk.is_range:
        backfill = backfill_of(options, state, chunk.interval)
        after, _ = after_chunk(backfill, look.window, outcome.complete, look.chunk_end, options.run_id, now)
        return replace(state, behavior=behavior, backfill=after if look.chunk_end else BackfillState())
    after_look, known_until = after_chunk(
        state.look, look.window, outcome.complete, look.chunk_end, options.run_id, now
    )
    begin = min(state.look.history_start or look.window.begin, look.window.begin)
    after_look = replace(after_look, history_start=begin, retry_labels=retry_labels and not state.look.retry_labels)
    if after_look.gap_start is None:
        after_look = _advance(after_look, look, now, known_until)
        after_look = replace(
            after_look,
            oldest_open=_oldest_open(options, state.look, look, upkeep),
            missing_open=tuple(upkeep.missing_open),
        )
    return replace(state, behavior=behavior, look=after_look)


def _advance(state: LookState, look: Look, now: datetime, known_until: datetime) -> LookState:
    """Return the state with the cursor moved to the newest finish; one in the future would freeze it."""
    finished = look.jobs["finish_time"]
    newest: datetime | None = pc.max(finished.filter(pc.less_equal(finished, pa.scalar(now, TIME)))).as_py()
    cursor = state.cursor
    if newest is not None:
        newest = min(newest.astimezone(UTC), known_until)
        cursor = max(cursor, newest) if cursor else newest
    if cursor is None:
        # A first answer without jobs may be wrong: until a job was seen, each load begins at the start of the history.
        return state
    until, end = state.complete_until, min(look.window.end, known_until)
    if until is None or end - until >= DETECTION_TTL or cursor != state.cursor or until > now:
        until = end
    return replace(state, cursor=cursor, complete_until=until)


def _oldest_open(options: ExtractOptions, state: LookState, look: Look, upkeep: Upkeep) -> datetime | None:
    """Return the start of the oldest job in progress that the looks follow."""
    earliest = options.until - options.max_open
    jobs = look.jobs.filter(pc.is_null(look.jobs["finish_time"]))
    starts = [start for start in jobs["start_time"].to_pylist() if start]
    seen = look.ids
    starts += [job.start_time for job in upkeep.open_jobs if job.start_time and job.id not in seen]
    missing = {job.start_time for job in upkeep.open_jobs if job.id in upkeep.missing_open}
    if state.chunk_end and state.oldest_open and not upkeep.open_jobs:
        # Earlier chunks may hold open jobs that this one does not.
        starts.append(state.oldest_open)
    return min((start for start in starts if start >= earliest and start not in missing), default=None)
