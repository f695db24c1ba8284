"""Detect whether the API silently shortens long ranges, and the longest range that it answers in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.config import EARLIEST
from avepoint_m365.extract.deduplicate import FinishedJob, deduplicate_latest, filter_ids, finished_job
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
    if jobs.num_rows and not _hides_history(reader, selection, job, jobs):
        return None
    return _longest_untruncated_range(reader, selection, job)


def _selection_of(job: FinishedJob, selections: Sequence[Selection], listings: Sequence[Listing]) -> Selection:
    """Return the selection whose listing returned a job; the first one if a listing by other filters did."""
    filters = {
        (listing.selection.object_type, listing.selection.location) for listing in listings if job.id in listing.ids
    }
    matching = [selection for selection in selections if (selection.object_type, selection.location) in filters]
    return (matching or selections)[0]


def oldest_finished(jobs: pa.Table) -> FinishedJob | None:
    """Return the finished job that started first; None without one."""
    finished = jobs.filter(pc.and_(pc.is_valid(jobs["finish_time"]), pc.is_valid(jobs["start_time"])))
    if not finished.num_rows:
        return None
    return finished_job(finished, pc.index(finished["start_time"], pc.min(finished["start_time"])).as_py())


def _find_hidden_job(reader: ListingReader, selections: Sequence[Selection]) -> tuple[Selection, FinishedJob] | None:
    """Return a finished job of a range that returned none, found month by month, and the selection that returned it."""
    for selection in selections:
        window = selection.window
        parts = [selection.over(Window(*period, period[1])) for period in months(window.query_start, window.query_end)]
        listings = reader.pool.run_parallel([_probe(reader, part) for part in parts])
        if job := oldest_finished(deduplicate_latest(listings)):
            return selection, job
    return None


def _probe(reader: ListingReader, selection: Selection) -> Callable[[], Listing]:
    return lambda: reader.probe(selection)


def _hides_history(reader: ListingReader, selection: Selection, oldest: FinishedJob, jobs: pa.Table) -> bool:
    """Return whether the API shortened a long range, by a range of the same length that ends with the oldest job.

    An API that answers only the first days of a range does not return that job. One that answers only the last days
    returns older jobs, which the long range did not return.
    """
    window, end = selection.window, oldest.finish_time + EDGE
    listing = reader.probe(selection.over(Window(max(end - window.length, EARLIEST), end, end)))
    probed = deduplicate_latest([listing])
    within = probed.filter(pc.greater_equal(probed["start_time"], pa.scalar(window.query_start, TIME)))["id"]
    hides_some = filter_ids(jobs, within.to_pylist()).num_rows < len(within)
    return hides_some or (listing.holds_all and oldest.id not in listing.ids)


def _longest_untruncated_range(reader: ListingReader, selection: Selection, job: FinishedJob) -> timedelta | None:
    """Return the longest range that returns a job at its beginning as well as at its end; None if none does."""
    job_id, start, finish = job
    for length in TESTED_LENGTHS:
        first = Window(start - EDGE, start - EDGE + length, start - EDGE + length)
        last = Window(finish + EDGE - length, finish + EDGE, finish + EDGE)
        if all(
            job_id in reader.read(selection.over(part)).ids for part in (first, last) if part.length > finish - start
        ):
            return length
    return None
