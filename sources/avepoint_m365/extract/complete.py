"""Read a selection completely from servers that limit the length of a range or the number of pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import EDGE, Selection, Window

SHORTEST_WINDOW = timedelta(minutes=1)
"""A window of this length is not halved."""


def read_completely(reader: ListingReader, selection: Selection, limits: RangeLimits) -> list[Listing]:
    """Return the listings that together hold all jobs of a selection, newest window first.

    Raises:
        SourceError: if the first page of a range cannot be read.
    """
    listings: list[Listing] = []
    for piece in _pieces(selection.window, limits):
        listings += finish_completely(reader, reader.read(selection.over(piece)))
    return listings


def finish_completely(reader: ListingReader, listing: Listing) -> list[Listing]:
    """Return a listing; if the server ended it early, return the listings of the halves of its window instead."""
    if listing.complete or not _ended_early(listing, reader.paging):
        return [listing]
    if listing.selection.window.length <= SHORTEST_WINDOW:
        return [listing]
    try:
        parts = [reader.read(listing.selection.over(half)) for half in listing.selection.window.halves()[::-1]]
    except SourceError:
        return [listing]
    has_effect = any(part.ids and (part.complete or part.ids - listing.ids) for part in parts)
    if has_effect or not listing.needs_shorter_ranges:
        reader.paging.record_halving(has_effect)
    if all(not part.complete and _size(part) >= _size(listing) and part.ids <= listing.ids for part in parts):
        # The API ignores the range: the halves would be halved again until the shortest window.
        return [listing]
    if not listing.needs_shorter_ranges and all(part.surplus == listing.surplus > 0 for part in parts):
        # Every total is too high by the same number, so shorter ranges have that surplus as well.
        return [listing]
    halves = [half for part in parts for half in finish_completely(reader, part)]
    halves[0].requests += listing.requests
    halves[0].retries += listing.retries
    return halves


def _size(listing: Listing) -> int:
    return max(listing.reported_total or 0, len(listing.ids))


def _pieces(window: Window, limits: RangeLimits) -> Iterator[Window]:
    """Yield ranges that the server answers in full and that together cover a window, newest first."""
    while limits.longest is not None and window.length > limits.longest:
        cut = window.query_end - limits.longest
        yield window.since(cut)
        window = window.until(cut + EDGE)
    yield window


def _ended_early(listing: Listing, paging: PagingBehavior) -> bool:
    """Return whether a page is missing, or a listing of several pages holds fewer jobs than its total.

    Jobs without a readable id count in the total and in no listing. Halves would lack them as well, down to the
    shortest window.
    """
    has_surplus = listing.counts_matches and listing.surplus > 0 and len(listing.pages) > 1
    may_lack_jobs = has_surplus and not paging.totals_count_others
    return listing.needs_shorter_ranges or (
        may_lack_jobs and all(problem.job_id for problem in listing.parsed.unreadable)
    )
