"""Cut long ranges into chunks, each committed alone, and say what a gap means for later loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.options import CLOCK_TOLERANCE
from avepoint_m365.extract.window import EDGE, Window
from avepoint_m365.state import BackfillState, LookState

BLIND_CHUNK = timedelta(days=31)
"""The length of a chunk where the API does not say how many jobs a range holds."""

SHORTEST_CHUNK = timedelta(minutes=1)

MAX_BISECTIONS = 24
"""Probes taken at most to find the end of a chunk; enough to come from a hundred years to minutes."""

Chunked = TypeVar("Chunked", LookState, BackfillState)


def resume_at(state: LookState | BackfillState, run_id: str) -> datetime | None:
    """Return where a load continues a long range; None if there is nothing to continue.

    A chunk that could not be proved does not hold up those after it. The next load goes back to the first gap.
    """
    if state.gap_start and state.gap_run != run_id:
        return state.gap_start
    return state.chunk_end - EDGE if state.chunk_end else None


def after_chunk(
    state: Chunked, window: Window, complete: bool, chunk_end: datetime | None, run_id: str, now: datetime
) -> tuple[Chunked, datetime]:
    """Return the state after a chunk was read, and the time up to which all chunks of the range are known.

    What changes between the first chunk and the last, which may be a load of another day, is not in all of them.

    Args:
        state: The state that the load began with.
        window: The window of the chunk.
        complete: Whether the chunk was proved complete.
        chunk_end: Where the chunk ends; None if it is the last.
        run_id: The load.
        now: When the chunk was read (UTC).
    """
    gap = None if state.gap_run != run_id else state.gap_start
    if not complete:
        gap = min(gap or window.start, window.start)
    began = state.began_at or (now if chunk_end else None)
    state = replace(
        state,
        gap_start=gap,
        gap_run=run_id if gap else None,
        chunk_end=chunk_end,
        began_at=began if chunk_end else None,
    )
    return state, began - CLOCK_TOLERANCE if began else now


Held = Callable[[Window], int | None]
"""Returns how many jobs a window holds; None if the API's totals do not tell."""


def find_chunk_end(window: Window, size: int | None, most: int, held_in: Held) -> datetime | None:
    """Return where a chunk ends that holds at most ``most`` jobs; None if the whole window may be read at once.

    Args:
        window: The whole range.
        size: How many jobs it holds.
        most: Jobs of a chunk; no less than half of it is aimed at, since few large loads are faster than many small.
        held_in: Asks for the number of jobs in a part of the range.
    """
    if size is not None and size <= most:
        return None
    if size is None:
        end = window.start + BLIND_CHUNK
        return end if end < window.end else None
    # What was asked for before the start belongs to the chunk before.
    own = window.since(window.start)
    shortest = own.start + SHORTEST_CHUNK
    fits, too_long = own.start, own.end
    for _ in range(MAX_BISECTIONS):
        middle = max(fits + (too_long - fits) / 2, shortest).replace(microsecond=0)
        if not fits < middle < too_long:
            break
        size = held_in(own.until(middle))
        if size is not None and size > most:
            if middle == shortest:
                # No minute holds so much: the API ignores the range, and every chunk would be the whole.
                return None
            too_long = middle
            continue
        fits = middle
        if size is None or size >= most / 2:
            break
    return fits if fits > own.start else None


def count_by_first_page(listing: Listing) -> int | None:
    """Return how many jobs a range holds by its first page; None if the API's total does not tell."""
    if listing.is_whole:
        return len(listing.ids)
    total = listing.reported_total or 0
    return total if total > len(listing.ids) else None
