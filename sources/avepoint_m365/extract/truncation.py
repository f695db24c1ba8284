"""Detect whether the API silently shortens long ranges, and the longest range that it answers in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.config import EARLIEST
from avepoint_m365.extract.deduplicate import FinishedJob, deduplicate_latest, filter_ids, oldest_finished
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.reconcile import months
from avepoint_m365.extract.window import EDGE, Selection, Window
from avepoint_m365.parse.frame import TIME

TESTED_LENGTHS = tuple(timedelta(days=days) for days in (92, 28, 7, 1))
"""Range lengths that are tried if the API silently shortens longer ones."""


def find_untruncated_range(
    reader: ListingReader,
    selections: Sequence[Selection],
    jobs: pa.Table,
    listings: Sequence[Listing],
    confirms_empty: bool,
) -> timedelta | None:
    """Return the longest range that the API answers in full; None if the long range was answered in full.

    Each probe has the filters of one selection, since jobs of services that are not loaded do not count.

    Args:
        reader: Reads the probes.
        selections: The selections over the long range.
        jobs: The jobs of the long range (``FRAME``), each once.
        listings: The listings of the long range.
        confirms_empty: Whether shorter ranges are read if the long range returned no jobs.

    Raises:
        SourceError: if a range cannot be read.
    """
    if job := oldest_finished(jobs):
        selection = _selection_of(job, selections, listings)
    elif confirms_empty and (hidden := _find_hidden_job(reader, selections)):
        selection, job = hidden
    else:
        return None
    if jobs.num_rows:
        if (shown := _find_hidden_history(reader, selection, job, jobs)) is None:
            return None
        job = shown
    length, cut_sizes = _longest_untruncated_range(reader, selection, job)
    if len(cut_sizes) == 1 and cut_sizes <= {len(listing.ids) for listing in listings if listing.ids}:
        # Ranges of all lengths ended after as many jobs: the server counts jobs, not days.
        (reader.paging.longest_list,) = cut_sizes
    return length


def _selection_of(job: FinishedJob, selections: Sequence[Selection], listings: Sequence[Listing]) -> Selection:
    """Return the selection whose listing returned a job; the first one if a listing by other filters did."""
    filters = {
        (listing.selection.object_type, listing.selection.location) for listing in listings if job.id in listing.ids
    }
    matching = [selection for selection in selections if (selection.object_type, selection.location) in filters]
    return (matching or selections)[0]


def _find_hidden_job(reader: ListingReader, selections: Sequence[Selection]) -> tuple[Selection, FinishedJob] | None:
    """Return a finished job of a range that returned none, found month by month, and the selection that returned it."""
    for selection in selections:
        window = selection.window
        parts = [selection.over(Window.exact(*period)) for period in months(window.query_start, window.query_end)]
        listings = reader.pool.run_parallel([_probe(reader, part) for part in parts])
        if job := oldest_finished(deduplicate_latest(listings)):
            return selection, job
    return None


def _probe(reader: ListingReader, selection: Selection) -> Callable[[], Listing]:
    return lambda: reader.probe(selection)


def _find_hidden_history(
    reader: ListingReader, selection: Selection, oldest: FinishedJob, jobs: pa.Table
) -> FinishedJob | None:
    """Return a job that the API hid from a long range; None if it hid none.

    A range of the same length that ends with the oldest job tells. An API that answers only the first days of a range
    does not return that job. One that answers only the last days, or the newest jobs, returns older jobs.
    """
    window, end = selection.window, oldest.finish_time + EDGE
    listing = reader.probe(selection.over(Window.exact(max(end - window.length, EARLIEST), end)))
    probed = deduplicate_latest([listing])
    within = probed.filter(pc.greater_equal(probed["start_time"], pa.scalar(window.query_start, TIME)))
    hidden = filter_ids(within, set(within["id"].to_pylist()) - set(jobs["id"].to_pylist()))
    if hidden.num_rows:
        return oldest_finished(hidden) or oldest
    return oldest if listing.holds_all and oldest.id not in listing.ids else None


def _longest_untruncated_range(
    reader: ListingReader, selection: Selection, job: FinishedJob
) -> tuple[timedelta | None, set[int]]:
    """Return the longest range that returns a job at its beginning as well as at its end; None if none does.

    The set holds the number of jobs of each longer range that did not return the job.
    """
    (job_id, start, finish), sizes = job, set[int]()
    for length in TESTED_LENGTHS:
        first = Window.exact(start - EDGE, start - EDGE + length)
        last = Window.exact(finish + EDGE - length, finish + EDGE)
        parts = [part for part in (first, last) if part.length > finish - start]
        if not parts:
            # The job is longer than the range, so that it tells nothing about this range and shorter ones.
            return TESTED_LENGTHS[-1], sizes
        cut = (listing for listing in map(reader.read, map(selection.over, parts)) if job_id not in listing.ids)
        if (listing := next(cut, None)) is None:
            return length, sizes
        sizes.add(len(listing.ids))
    return None, sizes
