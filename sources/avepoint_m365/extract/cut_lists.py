"""Detect whether the server cuts its lists to a number of jobs: without a link, with a total of the jobs sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow.compute as pc

from avepoint_m365.api.pagination import USUAL_PAGE_SIZES
from avepoint_m365.extract.deduplicate import oldest_finished
from avepoint_m365.extract.first_page import MIN_PAGE_SIZE
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import EDGE, Window

SETTLED = timedelta(hours=1)
"""Jobs that started within this time before a list was read may have appeared after it."""


def learn_longest_list(reader: ListingReader, listing: Listing, start: datetime) -> bool:
    """Return whether the server cut a list; then later lists of that length count as truncated.

    A list may hold the oldest jobs, the newest ones or any others. Two ranges are part of the list's range: one begins
    at ``start`` and ends with its oldest job, the other begins with its newest job. If most jobs of the first page of
    one are not in the list, the list was cut. A job that appeared meanwhile is too little evidence.

    Raises:
        SourceError: if a range cannot be read.
    """
    if len(listing.ids) < MIN_PAGE_SIZE or (oldest := oldest_finished(listing.parsed.jobs)) is None:
        return False
    window = listing.selection.window
    newest = pc.max(listing.parsed.jobs["start_time"]).as_py()
    settled = min(window.query_end, (listing.server_time or listing.started_at) - SETTLED)
    is_cut = _hides_jobs(reader, listing, window.since(start).until(oldest.finish_time + EDGE))
    if not is_cut and newest < settled:
        is_cut = _hides_jobs(reader, listing, window.since(newest - EDGE).until(settled))
    if is_cut:
        reader.paging.longest_list = min(reader.paging.longest_list or len(listing.ids), len(listing.ids))
    return is_cut


def _hides_jobs(reader: ListingReader, listing: Listing, window: Window) -> bool:
    """Return whether a list lacks most jobs of the first page of a range that is part of its own range."""
    probe = reader.probe(listing.selection.over(window))
    return 2 * len(probe.ids - listing.ids) > len(probe.ids)


def learn_from_usual_limits(reader: ListingReader, listings: Sequence[Listing]) -> bool:
    """Return whether the server cut one of the lists of a scan; only lists as long as a usual limit are checked.

    Raises:
        SourceError: if a range cannot be read.
    """
    if not reader.paging.doubts_limits or reader.paging.longest_list is not None:
        return False
    doubted = [listing for listing in listings if listing.complete and _is_usual_limit(len(listing.ids))]
    return any(learn_longest_list(reader, listing, listing.selection.window.query_start) for listing in doubted)


def _is_usual_limit(jobs: int) -> bool:
    return jobs in USUAL_PAGE_SIZES or (jobs > 0 and jobs % 100 == 0)
