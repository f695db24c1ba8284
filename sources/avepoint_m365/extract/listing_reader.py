"""Read all pages of a listing, and prove that no job is missing."""

from __future__ import annotations

from collections.abc import Iterable

from avepoint_m365.api.page import JobsPage
from avepoint_m365.api.pagination import MAX_STALE_PAGES, Pager
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import (
    EndlessListError,
    EndpointMissingError,
    RefusedParametersError,
    SourceError,
)
from avepoint_m365.extract.first_page import (
    MIN_PAGE_SIZE,
    PagingBehavior,
    in_whole_days,
    read_first_page,
    until_now,
)
from avepoint_m365.extract.listing import Listing, StartedListing
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.window import Selection
from avepoint_m365.text import format_count

MAX_READS = 3
"""How often a listing is read, the first time included, before it counts as incomplete."""


class ListingReader:
    """Read listings; all listings of a load share one ``PagingBehavior``. Safe to use from several threads."""

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
            selection: The filters of the listing.
            page_size: Jobs on a page; None for the load's page size.

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
                self._read_to_end(started.pager, started.listing)
            except SourceError as error:
                self._record_truncation(started.listing, error)
                # Shorter ranges would not end either.
                started.listing.needs_shorter_ranges = not isinstance(error, EndlessListError)
        self.reject_cut_list(started.listing)
        return started.listing

    def failed(self, selection: Selection, error: SourceError) -> StartedListing:
        """Return the listing of a selection whose first page could not be read."""
        listing = Listing(selection, requests=1)
        listing.fail(error)
        return StartedListing(listing, self._pager(selection), error)

    def probe(self, selection: Selection, page_size: int = MIN_PAGE_SIZE) -> Listing:
        """Return one small page of a selection; the listing is complete if that page holds all of its jobs.

        Raises:
            SourceError: if the page cannot be read.
        """
        listing, pager = Listing(selection), self._pager(selection)
        with listing.timed():
            pager.page_size = min(pager.page_size, page_size)
            self._first_page(pager, listing)
            listing.holds_all = not pager.next() and pager.ended and not pager.more_is_promised
            listing.holds_all &= not self._may_be_cut(listing)
            listing.complete = listing.holds_all and listing.detail is None
        return listing

    def _may_be_cut(self, listing: Listing) -> bool:
        longest = self.paging.longest_list
        return longest is not None and len(listing.ids) >= longest

    def reject_cut_list(self, listing: Listing) -> None:
        """Mark a listing as truncated if it has as many jobs as the longest list that the server returns."""
        if self._may_be_cut(listing) and listing.detail is None:
            listing.complete, listing.needs_shorter_ranges, listing.error_kind = False, True, "bad_response"
            listing.detail = f"Cut list: the API returns at most {format_count(len(listing.ids), 'job')} in one list."

    def _pager(self, selection: Selection) -> Pager:
        filters = selection.parameters()
        if self.paging.clock_lead is not None:
            filters = until_now(filters, self.paging.clock_lead)
        filters = in_whole_days(filters) if self.paging.whole_days else filters
        return self._pager_of(filters, self.paging.page_size)

    def _pager_of(self, filters: Params, page_size: int) -> Pager:
        paging = self.paging
        return Pager(filters, page_size, paging.largest_page, paging.totals_are_of_matches, paging.max_empty_pages)

    def _first_page(self, pager: Pager, listing: Listing) -> None:
        first = read_first_page(pager, self.pool.request_all, self.paging)
        *earlier_pages, page = first.pages
        listing.add(earlier_pages)
        listing.requests += first.refused
        listing.page_size = pager.page_size
        self._add_pages([page], pager, listing)

    def _read_to_end(self, pager: Pager, listing: Listing) -> None:
        """Read all pages, and again while pages move or jobs are missing.

        A job inserted between two requests moves another one to the next page, where it comes twice. A removed job
        moves another one to a page that was read before, where it is missed. Both are detected by a total that
        changes, a page that overlaps another, or a first page that differs when it is read again.
        """
        for reads in range(MAX_READS):
            jobs_before = len(listing.ids)
            if reads:
                listing.error_kind = listing.detail = None
                pager = self._pager_of(pager.filters, self._page_size_of_reread(pager, reads))
                self._first_page(pager, listing)
            moved = self._read_further_pages(pager, listing)
            if listing.complete and not moved:
                if listing.counts_matches and listing.ids:
                    self.paging.total_surplus = 0
                return
            ended = not moved and pager.ended and not listing.detail
            same_jobs_twice = bool(reads) and len(listing.ids) == jobs_before
            if ended and self._total_is_too_high(listing, same_jobs_twice):
                listing.complete, listing.total_scope = True, "absent"
                return
            if ended and self.paging.totals_count_others:
                break
        if ended and listing.surplus:
            self.paging.surpluses.append((listing.surplus, listing.selection))

    def _page_size_of_reread(self, pager: Pager, reads: int) -> int:
        """Return the page size of a further read: smaller for the second one, then unchanged.

        A server may lose a job at each page boundary. The same boundaries would lose the same jobs again.
        """
        return max(self.paging.page_size * 2 // 3, 1) if reads == 1 else pager.page_size

    def _total_is_too_high(self, listing: Listing, same_jobs_twice: bool) -> bool:
        """Return whether the API's total counts jobs that do not exist, so that the listing is complete without them.

        A surplus of one is accepted if two reads with other page boundaries returned the same jobs. A larger one is
        accepted if the listing of another type had the same: a hidden job would be missing in one listing alone.
        """
        surplus = listing.surplus
        others = [selection for other_surplus, selection in self.paging.surpluses if other_surplus == surplus]
        another_type_agrees = any(selection.shares_no_job_with(listing.selection) for selection in others)
        if same_jobs_twice and another_type_agrees:
            self.paging.total_surplus = surplus
        if surplus == 1 and same_jobs_twice and listing.ids:
            return True
        return surplus > 0 and surplus == self.paging.total_surplus

    def _read_further_pages(self, pager: Pager, listing: Listing) -> bool:
        """Read all pages after the first; return whether pages moved meanwhile."""
        first_page_ids, totals, moved = set(pager.seen_ids), [listing.reported_total], False
        while requests := pager.next():
            ids_before = len(pager.seen_ids)
            try:
                pages = self.pool.request_all(requests)
            except SourceError as error:
                listing.requests += 1
                if not isinstance(error, RefusedParametersError | EndpointMissingError) or pager.more_is_announced:
                    self._record_truncation(listing, error)
                    return False
                # Neither a total nor a link announced this page: some servers answer 400 or 404 after the last one.
                pager.ended = True
                break
            moved |= self._add_pages(pages, pager, listing)
            is_smaller = pager.page_size < self.paging.page_size and not self.paging.page_size_is_known
            if is_smaller and len(pager.seen_ids) > ids_before:
                self.paging.page_size_is_known, self.paging.page_size = True, pager.page_size
            # A page after the last may count only its own jobs, and some servers count on page one alone.
            totals += [page.info.total for page in pages if page.info.total]
        if pager.has_endless_links:
            self.paging.max_empty_pages = MAX_STALE_PAGES
        moved |= self._first_page_moved(pager, listing, first_page_ids, totals)
        _set_completeness(pager, listing, totals, moved)
        return moved

    def _record_truncation(self, listing: Listing, error: SourceError) -> None:
        """Record that a listing ended before its last page.

        Raises:
            SourceError: the error, if no further request can succeed.
        """
        listing.fail(error)
        listing.needs_shorter_ranges = True
        if error.ends_load:
            raise error

    def _first_page_moved(
        self, pager: Pager, listing: Listing, first_page_ids: set[str], totals: list[int | None]
    ) -> bool:
        """Read page one again if jobs may have moved to pages that were read before; return whether they did.

        A list with the newest start first needs no second read: new jobs move others to later pages, and a removed
        job changes the total.
        """
        if pager.pages == 1:
            return False
        matches = pager.total_counts_matches
        if matches and len({total for total in totals if total}) == 1 and listing.is_newest_first:
            return False
        (page,) = self.pool.request_all(pager.first(self.paging.first_index))
        ids = set(page.info.ids)
        pager.seen_ids |= ids
        listing.add([page])
        totals.append(page.info.total)
        return ids != first_page_ids or (matches and len(set(totals)) > 1)

    def _add_pages(self, pages: Iterable[JobsPage], pager: Pager, listing: Listing) -> bool:
        """Add pages; return whether one overlaps an earlier one in part, which happens only when pages move."""
        overlaps = False
        for page in pages:
            ids = set(page.info.ids)
            new_ids = len(ids - pager.seen_ids)
            overlaps |= 0 < new_ids < len(ids)
            pager.seen_ids |= ids
            pager.add(page.info, new_ids)
            self.paging.largest_page = max(self.paging.largest_page, len(page.info.ids))
            self.paging.totals_are_of_matches |= (page.info.total or 0) > len(page.info.ids)
            listing.add([page])
        return overlaps


def _set_completeness(pager: Pager, listing: Listing, totals: list[int | None], moved: bool) -> None:
    """Set ``total_scope`` and ``complete`` of a listing that was read to its end."""
    # A full page is doubted. If no further job follows, its total counted all of them.
    matches = pager.total_counts_matches or pager.pages == 1 or totals[0] == len(pager.seen_ids)
    listing.total_scope = "absent"
    # A total below the number of jobs read counts something else, or stops counting. It proves nothing.
    if listing.reported_total is not None and len(pager.seen_ids) <= max(filter(None, totals), default=0):
        listing.total_scope = "matches" if matches else "page"
    if listing.counts_matches:
        counts = [total for total in totals if total is not None]
        listing.complete = counts == sorted(counts) and len(pager.seen_ids) >= counts[-1]
    else:
        listing.complete = pager.ended and not moved
    listing.complete &= listing.detail is None
