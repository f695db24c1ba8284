"""Cut long ranges into chunks, each committed alone, and continue after chunks that are not proved complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from avepoint_m365.extract.listing import Listing, StartedListing
from avepoint_m365.extract.options import CLOCK_TOLERANCE
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.state import BackfillState, ScanState

UNCOUNTED_CHUNK = timedelta(days=31)
"""The length of a chunk if the API does not report how many jobs a range holds."""

SHORTEST_CHUNK = timedelta(minutes=1)

MAX_BISECTIONS = 24
"""The most probes that find the end of a chunk; 24 halvings of a hundred years are four minutes."""

Chunked = TypeVar("Chunked", ScanState, BackfillState)


def resume_at(state: ScanState | BackfillState, run_id: str) -> datetime | None:
    """Return the time (UTC) at which a load continues a long range; None if there is nothing to continue.

    A chunk that was not proved complete does not delay the chunks after it. The next load returns to the first gap.
    """
    if state.gap_start and state.gap_run != run_id:
        return state.gap_start
    return state.chunk_end - EDGE if state.chunk_end else None


def after_chunk(
    state: Chunked, window: Window, complete: bool, chunk_end: datetime | None, run_id: str, now: datetime
) -> tuple[Chunked, datetime]:
    """Return the state after a chunk was read, and the time (UTC) up to which the whole range is read.

    The first chunk may be days older than the last one, and lacks later changes. So that time is the first chunk's.

    Args:
        state: The state that the load began with.
        window: The window of the chunk.
        complete: Whether the chunk was proved complete.
        chunk_end: The end of the chunk (UTC); None if it is the last.
        run_id: The id of the load.
        now: When the chunk was read (UTC).
    """
    gap = state.gap_start if state.gap_run == run_id else None
    if not complete:
        gap = min(gap or window.start, window.start)
    began = state.began_at or (now if chunk_end else None)
    state = state._replace(
        gap_start=gap,
        gap_run=run_id if gap else None,
        chunk_end=chunk_end,
        began_at=began if chunk_end else None,
    )
    return state, began - CLOCK_TOLERANCE if began else now


CountWindow = Callable[[Window], int | None]
"""Returns how many jobs a window holds; None if the API's totals do not tell."""


def find_chunk_end(window: Window, size: int | None, most: int, count_window: CountWindow) -> datetime | None:
    """Return the end of a chunk of at most ``most`` jobs (UTC); None if the whole window may be read at once.

    The search ends at a chunk of at least half of ``most`` jobs, since few large loads are faster than many small ones.

    Args:
        window: The whole range.
        size: How many jobs it holds; None if the API does not report it.
        most: The most jobs of a chunk.
        count_window: Returns the number of jobs in a part of the range, by a request.
    """
    if size is not None and size <= most:
        return None
    if size is None:
        end = window.start + UNCOUNTED_CHUNK
        return end if end < window.end else None
    # The part before the start belongs to the previous chunk.
    own = window.since(window.start)
    shortest = own.start + SHORTEST_CHUNK
    fits, too_long = own.start, own.end
    for _ in range(MAX_BISECTIONS):
        middle = max(fits + (too_long - fits) / 2, shortest).replace(microsecond=0)
        if not fits < middle < too_long:
            break
        size = count_window(own.until(middle))
        if size is not None and size > most:
            if middle == shortest:
                # One minute cannot hold so many jobs: the API ignores the range, and each chunk would be the whole one.
                return None
            too_long = middle
            continue
        fits = middle
        if size is None or size >= most / 2:
            break
    return fits if fits > own.start else None


def count_by_first_page(listing: Listing) -> int | None:
    """Return how many jobs a range holds by its first page; None if the API's total may count that page alone."""
    if listing.holds_all:
        return len(listing.ids)
    total = listing.reported_total or 0
    return total if total > len(listing.ids) else None


def count_by_first_pages(started: Sequence[StartedListing]) -> int | None:
    """Return how many jobs a window holds by the first pages of its listings; None if a total does not tell."""
    read = [started_listing for started_listing in started if not started_listing.failure]
    counts = [
        len(started_listing.listing.ids)
        if _fits_first_page(started_listing)
        else count_by_first_page(started_listing.listing)
        for started_listing in read
    ]
    return sum_of(counts)


def sum_of(counts: Sequence[int | None]) -> int | None:
    """Return the sum of counts; None if one of them is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _fits_first_page(started: StartedListing) -> bool:
    """Return whether the first page holds all jobs: it is not full, and neither a link nor a total promises more."""
    listing = started.listing
    last = listing.pages[-1].info
    return (
        not last.next_link
        and not last.announces_more
        and (listing.reported_total is None or listing.reported_total <= len(listing.ids))
        and (len(listing.ids) < listing.page_size)
    )


def jobs_that_fit(started: Sequence[StartedListing], most_bytes: int) -> int:
    """Return how many jobs fit into ``most_bytes`` of responses, by the size of the first pages."""
    size = sum(len(page.raw.content) for started_listing in started for page in started_listing.listing.pages)
    jobs = sum(len(started_listing.listing.ids) for started_listing in started)
    return max(most_bytes * jobs // size, 1) if size and jobs else most_bytes
