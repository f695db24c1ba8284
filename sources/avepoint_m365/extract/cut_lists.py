"""Detect whether the server cuts its lists to a number of jobs: without a link, with a total of the jobs sent."""

from __future__ import annotations

from datetime import datetime

from avepoint_m365.extract.deduplicate import oldest_finished
from avepoint_m365.extract.first_page import MIN_PAGE_SIZE
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import EDGE


def learn_longest_list(reader: ListingReader, listing: Listing, start: datetime) -> bool:
    """Return whether the server cut a list to its newest jobs; then later lists of that length count as truncated.

    A range that begins at ``start`` and ends with the oldest job of the list is part of the list's range. If most jobs
    of its first page are not in the list, the list was cut. A job that appeared meanwhile is too little evidence.

    Raises:
        SourceError: if the range cannot be read.
    """
    if len(listing.ids) < MIN_PAGE_SIZE or (oldest := oldest_finished(listing.parsed.jobs)) is None:
        return False
    window = listing.selection.window.since(start).until(oldest.finish_time + EDGE)
    probe = reader.probe(listing.selection.over(window))
    if 2 * len(probe.ids - listing.ids) <= len(probe.ids):
        return False
    reader.paging.longest_list = min(reader.paging.longest_list or len(listing.ids), len(listing.ids))
    return True
