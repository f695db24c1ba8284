"""Read one listing: every job of a selection, page by page, and the proof that none is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

from avepoint_m365.api.page import JobsPage, parse_pages
from avepoint_m365.api.pagination import Pager
from avepoint_m365.exceptions import EndlessListError, EndpointMissingError, RefusedParametersError, SourceError
from avepoint_m365.extract.first_page import MIN_PAGE_SIZE, PagingBehavior, in_whole_days, read_first_page
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.window import Selection
from avepoint_m365.parse.raw import ParsedJobs

MAX_READS = 3
"""How often a listing is read, the first time included, before it counts as incomplete."""


_latest, _moments = datetime.min.replace(tzinfo=UTC), Lock()


def _unique_now() -> datetime:
    """Return the time, later than any returned before, since it is part of a key of ``load_audit``."""
    global _latest
    with _moments:
        _latest = max(datetime.now(UTC), _latest + timedelta(microseconds=1))
        return _latest


@dataclass
class Listing:
    """Hold the jobs of one selection, with their row of ``load_audit``. Times are UTC."""

    selection: Selection
    started_at: datetime = field(default_factory=_unique_now)
    pages: list[JobsPage] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    reported_total: int | None = None
    total_scope: str = "absent"
    endpoint: str = ""
    page_size: int = 0
    requests: int = 0
    retries: int = 0
    complete: bool = False
    error_kind: str | None = None
    detail: str | None = None
    elapsed_seconds: float = 0.0
    server_time: datetime | None = None
    is_cut_short: bool = False
    """Whether a page that the API promised could not be read."""
    is_whole: bool = False
    """Whether a probe saw all that the API shows, complete or not."""
    _parsed: tuple[int, ParsedJobs] | None = None

    @property
    def counts_matches(self) -> bool:
        """Return whether the total was seen to count all matches."""
        return self.total_scope == "matches"

    @property
    def surplus(self) -> int:
        """Return how many more jobs the total counts than the listing shows."""
        return max((self.reported_total or 0) - len(self.ids), 0)

    @property
    def parsed(self) -> ParsedJobs:
        """Return the rows of all pages so far, parsed together, once."""
        if self._parsed is None or self._parsed[0] != len(self.pages):
            self._parsed = len(self.pages), parse_pages(self.pages)
        return self._parsed[1]

    def add(self, answers: Iterable[JobsPage]) -> None:
        """Keep the jobs of pages, and what they say of the whole."""
        for answer in answers:
            self.pages.append(answer)
            self.ids.update(answer.page.rows)
            self.requests += 1
            self.retries += answer.attempts - 1
            self.endpoint = answer.endpoint.name
            self.server_time = answer.server_time or self.server_time
            if answer.page.total is not None:
                self.reported_total = answer.page.total
            if answer.page.errors:
                self.error_kind, self.detail = "api", answer.page.errors

    def fail(self, error: SourceError) -> None:
        """Record why the listing could not be read to its end."""
        self.complete, self.error_kind, self.detail = False, error.kind, str(error)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the duration of the block to ``elapsed_seconds``."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.elapsed_seconds += time.monotonic() - began


@dataclass
class StartedListing:
    """Hold a listing whose first page was read, or could not be read."""

    listing: Listing
    pager: Pager
    failure: SourceError | None = None


class ListingReader:
    """Read listings; those of one load share what they learn about paging. Safe to use from several threads."""

    def __init__(self, pool: RequestPool, paging: PagingBehavior) -> None:
        self.pool, self.paging = pool, paging

    def read(self, selection: Selection) -> Listing:
        """Return all jobs of a selection.

        Raises:
            SourceError: if the first page cannot be read. A later failure leaves the listing incomplete.
        """
        return self.finish(self.begin(selection))

    def begin(self, selection: Selection, page_size: int | None = None) -> StartedListing:
        """Return the first page of a selection, to be finished later.

        Args:
            selection: What to list.
            page_size: Jobs on a page, if the load's page size is not to be used.

        Raises:
            SourceError: if the page cannot be read.
        """
        listing, pager = Listing(selection), self._pager(selection)
        if page_size is not None and not self.paging.page_size_is_known:
            pager.page_size = page_size
        with listing.timed():
            self._first_page(pager, listing)
        return StartedListing(listing, pager)

    def finish(self, started: StartedListing) -> Listing:
        """Return a listing that was begun, read to its end."""
        with started.listing.timed():
            try:
                self._to_the_end(started.pager, started.listing)
            except SourceError as error:
                self._cut_short(started.listing, error)
                # Shorter ranges would go on without end as well.
                started.listing.is_cut_short = not isinstance(error, EndlessListError)
        return started.listing

    def failed(self, selection: Selection, error: SourceError) -> StartedListing:
        """Return the listing of a selection whose first page could not be read."""
        listing = Listing(selection, requests=1)
        listing.fail(error)
        return StartedListing(listing, self._pager(selection), error)

    def probe(self, selection: Selection, page_size: int = MIN_PAGE_SIZE) -> Listing:
        """Return one small page of a selection; it is complete if that is all there is.

        Raises:
            SourceError: if the page cannot be read.
        """
        listing, pager = Listing(selection), self._pager(selection)
        with listing.timed():
            pager.page_size = min(pager.page_size, page_size)
            self._first_page(pager, listing)
            listing.is_whole = not pager.next() and pager.ended and not pager.more_is_promised
            listing.complete = listing.is_whole and listing.detail is None
        return listing

    def _pager(self, selection: Selection) -> Pager:
        filters = selection.parameters()
        return Pager(in_whole_days(filters) if self.paging.whole_days else filters, self.paging.page_size)

    def _first_page(self, pager: Pager, listing: Listing) -> None:
        first = read_first_page(pager, self.pool.ask_all, self.paging)
        *earlier, answer = first.answers
        listing.add(earlier)
        listing.requests += first.refused
        listing.page_size = pager.page_size
        self._take([answer], pager, listing)

    def _to_the_end(self, pager: Pager, listing: Listing) -> None:
        """Read all pages, and again while pages move or jobs are missing.

        A job inserted between two requests shows another one twice, which does no harm. A removed job hides another.
        Both show in a total that changes, a page that overlaps another, or a first page that differs when read again.
        """
        ended = False
        for reads in range(MAX_READS):
            known = len(listing.ids)
            if reads:
                listing.error_kind = listing.detail = None
                # Other page boundaries: a server that loses a job at each of its own would lose the same again.
                pager = Pager(pager.filters, max(self.paging.page_size * 2 // 3, 1) if reads == 1 else pager.page_size)
                self._first_page(pager, listing)
            moved = self._read_on(pager, listing)
            if listing.complete and not moved:
                return
            ended = not moved and pager.ended and not listing.detail
            if ended and self._total_is_too_high(listing, again=bool(reads) and len(listing.ids) == known):
                listing.complete, listing.total_scope = True, "absent"
                return
        if ended and listing.surplus:
            self.paging.surpluses.append((listing.surplus, listing.selection))

    def _total_is_too_high(self, listing: Listing, again: bool) -> bool:
        """Return whether the total counts jobs that do not exist: by as many as those of the other listings do.

        It is believed of a total that is one too high if the same jobs came twice, over other page boundaries. If it is
        more, the listing of another type must have shown the same difference: a hidden job is missing in one alone.
        """
        surplus = listing.surplus
        others = [selection for other, selection in self.paging.surpluses if other == surplus]
        alike = any(selection.shares_no_job_with(listing.selection) for selection in others)
        if again and alike:
            self.paging.total_surplus = surplus
        return 0 < surplus == self.paging.total_surplus or (again and surplus == 1 and bool(listing.ids))

    def _read_on(self, pager: Pager, listing: Listing) -> bool:
        """Read all pages after the first; return whether pages moved meanwhile."""
        first, totals, moved = set(pager.seen_ids), [listing.reported_total], False
        while requests := pager.next():
            seen = len(pager.seen_ids)
            try:
                answers = self.pool.ask_all(requests)
            except SourceError as error:
                listing.requests += 1
                if not isinstance(error, RefusedParametersError | EndpointMissingError) or pager.more_is_said:
                    return self._cut_short(listing, error)
                # A page that was only assumed: some servers answer 400 or 404 after the last.
                pager.ended = True
                break
            moved |= self._take(answers, pager, listing)
            smaller = pager.page_size < self.paging.page_size and not self.paging.page_size_is_known
            if smaller and len(pager.seen_ids) > seen:
                self.paging.page_size_is_known, self.paging.page_size = True, pager.page_size
            # A page after the last may count only its own jobs, and some servers count on page one alone.
            totals += [answer.page.total for answer in answers if answer.page.total]
        moved |= self._compare_first_page(pager, listing, first, totals)
        _judge(pager, listing, totals, moved)
        return moved

    def _cut_short(self, listing: Listing, error: SourceError) -> bool:
        listing.fail(error)
        listing.is_cut_short = True
        if error.kind in ("auth", "config", "internal"):
            raise error
        return False

    def _compare_first_page(self, pager: Pager, listing: Listing, first: set[str], totals: list[int | None]) -> bool:
        """Read page one again if jobs may have moved past the reader; return whether they did.

        A list that shows the newest start first needs no second look: new jobs only push others to later pages, and a
        removed job changes the total.
        """
        matches = pager.total_counts_matches or pager.pages == 1
        if pager.pages == 1:
            return False
        if matches and len({total for total in totals if total}) == 1 and listing.parsed.is_newest_first:
            return False
        again = self.pool.ask_all(pager.first(self.paging.first_index))
        ids = set(again[0].page.rows)
        pager.seen_ids |= ids
        listing.add(again)
        totals.append(again[0].page.total)
        return ids != first or (matches and len(set(totals)) > 1)

    def _take(self, answers: Iterable[JobsPage], pager: Pager, listing: Listing) -> bool:
        """Keep pages; return whether one overlaps an earlier one in part, which happens only when pages move."""
        overlaps = False
        for answer in answers:
            ids = set(answer.page.rows)
            new = len(ids - pager.seen_ids)
            overlaps |= 0 < new < len(ids)
            pager.seen_ids |= ids
            pager.take(answer.page, new)
            listing.add([answer])
        return overlaps


def _judge(pager: Pager, listing: Listing, totals: list[int | None], moved: bool) -> None:
    """Set what the total counts, and whether the listing is proved complete."""
    matches = pager.total_counts_matches or pager.pages == 1
    listing.total_scope = "absent"
    # A total below what was found counts something else, or stops counting: it proves nothing.
    if listing.reported_total is not None and len(pager.seen_ids) <= max(filter(None, totals), default=0):
        listing.total_scope = "matches" if matches else "page"
    if listing.counts_matches:
        counts = [total for total in totals if total is not None]
        listing.complete = counts == sorted(counts) and len(pager.seen_ids) >= counts[-1]
    else:
        listing.complete = pager.ended and not moved
    listing.complete &= listing.detail is None
