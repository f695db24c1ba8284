"""Detect whether the API cuts long ranges without a word, and how long a range it answers whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.config import EARLIEST
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.reconcile import months
from avepoint_m365.extract.window import EDGE, Selection, Window
from avepoint_m365.parse.frame import TIME

TESTED_LENGTHS = tuple(timedelta(days=days) for days in (92, 28, 7, 1))
"""Range lengths that are tried where longer ranges are cut without a word."""

FinishedJob = tuple[str, datetime, datetime]
"""Id, start and finish of a job."""


def find_uncut_range(
    reader: ListingReader,
    selections: Sequence[Selection],
    jobs: pa.Table,
    listings: Sequence[Listing],
    doubts_nothing: bool,
) -> timedelta | None:
    """Return the longest range that the API answers whole; None if it answers a long range whole.

    Each probe has the filters of one selection: jobs of services that are not loaded are no hidden history.

    Args:
        reader: Reads the probes.
        selections: What was asked for over the long range.
        jobs: The jobs that it showed, each once (``FRAME``).
        listings: The listings that showed them.
        doubts_nothing: Whether jobs are looked for where the range showed none.

    Raises:
        SourceError: if a range cannot be read.
    """
    if job := oldest_finished(jobs):
        filters = {
            (listing.selection.object_type, listing.selection.location) for listing in listings if job[0] in listing.ids
        }
        matching = [selection for selection in selections if (selection.object_type, selection.location) in filters]
        witness: tuple[Selection, FinishedJob] | None = (matching or selections)[0], job
    else:
        witness = _find_any(reader, selections) if doubts_nothing else None
    if witness is None or (jobs.num_rows and not _hides_history(reader, *witness, set(jobs["id"].to_pylist()))):
        return None
    return _longest_honest_range(reader, *witness)


def oldest_finished(jobs: pa.Table) -> FinishedJob | None:
    """Return the finished job that started first."""
    finished = jobs.filter(pc.and_(pc.is_valid(jobs["finish_time"]), pc.is_valid(jobs["start_time"])))
    if not finished.num_rows:
        return None
    row = pc.index(finished["start_time"], pc.min(finished["start_time"])).as_py()
    job_id, start, finish = (finished[name][row].as_py() for name in ("id", "start_time", "finish_time"))
    return job_id, start, finish


def _find_any(reader: ListingReader, selections: Sequence[Selection]) -> tuple[Selection, FinishedJob] | None:
    """Return a finished job of an empty range, looked for month by month, and the selection that shows it."""
    for selection in selections:
        window = selection.window
        parts = [selection.over(Window(*period, period[1])) for period in months(window.begin, window.end)]
        shown = reader.pool.side_by_side([_probe(reader, part) for part in parts])
        if job := oldest_finished(deduplicate_latest(shown)):
            return selection, job
    return None


def _probe(reader: ListingReader, selection: Selection) -> Callable[[], Listing]:
    return lambda: reader.probe(selection)


def _hides_history(reader: ListingReader, selection: Selection, oldest: FinishedJob, ids: set[str]) -> bool:
    """Return whether the API cut a long range without a word, by a range as long that ends with the oldest job shown.

    An API that keeps the first days of a range does not show that job. One that keeps the last days shows older jobs,
    which the whole range did not show.
    """
    job_id, _, finish = oldest
    window, end = selection.window, finish + EDGE
    shown = reader.probe(selection.over(Window(max(end - window.length, EARLIEST), end, end)))
    jobs = deduplicate_latest([shown])
    within = jobs.filter(pc.greater_equal(jobs["start_time"], pa.scalar(window.begin, TIME)))
    unseen = set(within["id"].to_pylist()) - ids
    return bool(unseen) or (shown.is_whole and job_id not in shown.ids)


def _longest_honest_range(reader: ListingReader, selection: Selection, job: FinishedJob) -> timedelta | None:
    """Return the longest range that shows a job at its beginning as well as at its end; None if none does."""
    job_id, start, finish = job
    for length in TESTED_LENGTHS:
        first = Window(start - EDGE, start - EDGE + length, start - EDGE + length)
        last = Window(finish + EDGE - length, finish + EDGE, finish + EDGE)
        if all(
            job_id in reader.read(selection.over(part)).ids for part in (first, last) if part.length > finish - start
        ):
            return length
    return None
