"""Read a selection completely from servers that limit the length of a range or the depth of a page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from avepoint_m365.exceptions import SourceError
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing import Listing, ListingReader
from avepoint_m365.extract.window import EDGE, Selection, Window

SHORTEST = timedelta(minutes=1)
"""A window is not halved below this."""


def read_completely(reader: ListingReader, selection: Selection, limits: RangeLimits) -> list[Listing]:
    """Return the listings that together hold all jobs of a selection, the newest window first.

    Raises:
        SourceError: if the first page of a range cannot be read.
    """
    listings: list[Listing] = []
    for piece in _pieces(selection.window, limits):
        listings += finish_completely(reader, reader.read(selection.over(piece)))
    return listings


def finish_completely(reader: ListingReader, listing: Listing) -> list[Listing]:
    """Return a listing, or those of the halves of its window if the server did not show it to its end."""
    if listing.complete or not _is_cut_short(listing) or listing.selection.window.length <= SHORTEST:
        return [listing]
    try:
        parts = [reader.read(listing.selection.over(half)) for half in listing.selection.window.halves()[::-1]]
    except SourceError:
        return [listing]
    if all(not part.complete and _size(part) >= _size(listing) for part in parts):
        # The API ignores the range: halves of it would be read for ever.
        return [listing]
    if not listing.is_cut_short and all(part.surplus == listing.surplus > 0 for part in parts):
        # Totals count the same number too many in each range: shorter ranges would not tell more.
        return [listing]
    halves = [half for part in parts for half in finish_completely(reader, part)]
    halves[0].requests += listing.requests
    halves[0].retries += listing.retries
    return halves


def _size(listing: Listing) -> int:
    return max(listing.reported_total or 0, len(listing.ids))


def _pieces(window: Window, limits: RangeLimits) -> Iterator[Window]:
    """Cut a window into ranges that the server answers in full, the newest first."""
    while limits.longest is not None and window.length > limits.longest:
        cut = window.asked_end - limits.longest
        yield window.since(cut)
        window = window.until(cut + EDGE)
    yield window


def _is_cut_short(listing: Listing) -> bool:
    """Return whether a listing ended before its last job."""
    short = listing.counts_matches and len(listing.ids) < (listing.reported_total or 0)
    return listing.is_cut_short or (short and len(listing.pages) > 1)
