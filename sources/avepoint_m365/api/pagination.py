"""Order pages: find the next one, and decide when to stop. The vendor does not document the form of its links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from avepoint_m365.api.page import PageInfo
from avepoint_m365.endpoints import Params, link_parameters
from avepoint_m365.exceptions import EndlessListError

MAX_STALE_PAGES = 3
"""The most pages in a row without a new id, while the total counts more jobs."""

MAX_EMPTY_PAGES = 300
"""The most empty pages in a row with links to further pages: a server may filter after it has divided the pages."""

MAX_JOBS = 1_000_000
"""The most jobs of one list; only a server that invents pages without end has more."""

FIRST_PAGES_AHEAD = 8
"""Pages that are requested in parallel at first; the number doubles each time, since a total may be wrong."""

USUAL_PAGE_SIZES = frozenset(
    (10, 15, 20, 25, 30, 40, 50, 60, 64, 75, 80, 100, 120, 125, 128, 150, 200, 250, 256, 300, 400)
)
"""Usual limits of servers; without a total, a page of such a size may be cut although no link follows."""

MAX_PAGES_AHEAD = 64
"""The most pages of one listing that are requested in parallel, which bounds the memory for them."""


def _is_number(index: str) -> bool:
    """Return whether an index is a number of less than 19 digits; Python refuses to parse thousands of digits."""
    return index.isdecimal() and len(index) < 19


def _folded(params: Mapping[str, str]) -> Params:
    return {name.lower(): value for name, value in params.items()}


def _page_identity(params: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return the parameters that identify a page, without its size: a circular link may change the size each time."""
    return frozenset((name, value) for name, value in _folded(params).items() if name != "pagesize")


@dataclass
class Pager:
    """Decide which pages to request next, and when to stop, for one set of filters.

    It follows links to pages that were not requested yet. Without such a link it numbers the pages itself. The
    caller's filters take precedence over those of a link, so that a link never changes the selection.
    """

    filters: Params
    page_size: int
    uncut_size: int = 0
    """A page with fewer jobs was not cut to a limit: the server has sent a page of this size."""
    totals_are_of_matches: bool = False
    """Whether another list showed that the server's totals count all jobs of a selection, not those of a page."""
    max_empty_pages: int = MAX_EMPTY_PAGES
    """The most empty pages in a row whose links are followed."""
    seen_ids: set[str] = field(default_factory=set)
    pages: int = 0
    total_counts_matches: bool = False
    """Whether a total was larger than its page, so that it counts all jobs of the selection."""
    ended: bool = False
    """Whether paging ended on an empty or short page, or on a total that was reached."""
    _end_was_announced: bool = False
    _last: PageInfo = field(default_factory=lambda: PageInfo([], None, None))
    _requested: set[frozenset[tuple[str, str]]] = field(default_factory=set)
    _index: int = 0
    _largest_page: int = 0
    _stale_pages: int = 0
    _pages_ahead: int = FIRST_PAGES_AHEAD
    _promised: int = 0
    """The largest total that counts matches."""

    def first(self, index: str | None = None) -> list[Params]:
        """Return the first request; ``index`` is None unless the server needs a pageIndex.

        Without one, it does not matter whether the server numbers pages from 0 or 1.
        """
        self._index = int(index or 0)
        return [self._request({"pageSize": str(self.page_size), **({} if index is None else {"pageIndex": index})})]

    def add(self, page: PageInfo, new_ids: int) -> None:
        """Record a page, in the order of requests, and how many of its ids are new."""
        self.pages += 1
        self._last = page
        self._largest_page = max(self._largest_page, len(page.ids))
        if page.total is not None and page.total > len(page.ids):
            self.total_counts_matches = True
            self._promised = max(self._promised, page.total)
        self._stale_pages = 0 if new_ids else self._stale_pages + 1

    def next(self) -> list[Params]:
        """Return the requests to send next, in parallel if pages go by number; none at the end.

        Raises:
            EndlessListError: if the list has more than ``MAX_JOBS`` jobs.
        """
        if len(self.seen_ids) > MAX_JOBS:
            raise EndlessListError(
                f"Endless list: the API returned more than {MAX_JOBS:,} jobs in one list, and a further page. Check "
                "that base_url is the API's host."
            )
        page = self._last
        if not page.ids:
            return self._after_an_empty_page(page)
        if self._stale_pages > self._stale_pages_allowed():
            # A full page announced that it is the last one, and the page after it had no new jobs.
            self.ended = self._end_was_announced
            return []
        if following := self._follow(page.next_link):
            return [following, *self._ahead(following)]
        if self._is_last(page):
            self.ended = True
            return []
        numbering_is_known = self.pages > 1 and not self._stale_pages
        # A server that returns fewer jobs than requested may number its pages by the requested size.
        self.page_size = min(self.page_size, self._largest_page)
        self._index += 1
        following = self._request({"pageSize": str(self.page_size), "pageIndex": str(self._index)})
        return [following, *(self._ahead(following) if numbering_is_known else [])]

    def _after_an_empty_page(self, page: PageInfo) -> list[Params]:
        """Return the request for the link of an empty page; without a new link the listing ends here.

        It does not end if the API counted more jobs and now sends no list at all: its search index may have failed.
        """
        is_counted = self.total_counts_matches or (self.totals_are_of_matches and page.total is not None)
        if not page.next_link or (is_counted and not self.more_is_promised):
            has_end = not page.without_list or len(self.seen_ids) >= self._promised
            self.ended = has_end and not page.announces_more
            return []
        following = None if self.has_endless_links else self._follow(page.next_link)
        return [following] if following else []

    @property
    def has_endless_links(self) -> bool:
        """Return whether the newest pages are empty, too many of them, each with a link to a further page."""
        return not self._last.ids and self._stale_pages > self.max_empty_pages

    @property
    def more_is_promised(self) -> bool:
        """Return whether the API counts more jobs than were read."""
        total = self._last.total
        return self.total_counts_matches and total is not None and len(self.seen_ids) < total

    @property
    def more_is_announced(self) -> bool:
        """Return whether a total or a link announces a further page."""
        return self.more_is_promised or bool(self._last.next_link) or self._last.announces_more

    def _stale_pages_allowed(self) -> int:
        """Return how many pages in a row may have no new id.

        If the server numbers pages from 1, page 1 repeats the first page, as a circular link does. If many jobs are
        added meanwhile, a whole page may move to the next number.
        """
        if self.more_is_promised:
            return MAX_STALE_PAGES
        return 1 if self.pages == 2 else 0

    def _follow(self, link: str | None) -> Params | None:
        """Return the request for a link; None if it names no page, or one that was requested before."""
        own = _folded(self.filters)
        from_link = link_parameters(link).items()
        steps = {
            _PAGE_PARAMETERS.get(name.lower(), name): value for name, value in from_link if name.lower() not in own
        }
        if not steps.keys() - {"pageSize"}:
            return None
        params = {"pageSize": str(self.page_size), **self.filters, **steps}
        if _page_identity(params) in self._requested:
            return None
        if _is_number(steps.get("pageIndex", "")):
            self._index = int(steps["pageIndex"])
        return self._request(params)

    def _ahead(self, step: Params) -> list[Params]:
        """Return the requests for pages after ``step``, if pages differ by number alone and a total counts them.

        In parallel, 200 pages take a fraction of the time.
        """
        by_number = step.keys() - self.filters.keys() == {"pageIndex", "pageSize"} and _is_number(step["pageIndex"])
        if not by_number or not self.more_is_promised or self._last.total is None:
            return []
        first = int(step["pageIndex"])
        count = min(ceil((self._last.total - len(self.seen_ids)) / self._largest_page), self._pages_ahead)
        self._pages_ahead = min(self._pages_ahead * 2, MAX_PAGES_AHEAD)
        self._index = first + count - 1
        return [self._request({**step, "pageIndex": str(first + further)}) for further in range(1, count)]

    def _is_last(self, page: PageInfo) -> bool:
        """Return whether a page is the last one, by its total, link and size."""
        if self.more_is_promised:
            return False
        if self.total_counts_matches and page.total == len(self.seen_ids) and not page.next_link:
            # With a link to another page, the total may count something else.
            return True
        if page.announces_more:
            return False
        if page.next_link == "":
            # Documented as "no further page". Only a page that may be full is doubted, by another request.
            self._end_was_announced = True
            may_be_cut = len(page.ids) in USUAL_PAGE_SIZES and len(page.ids) >= self.uncut_size
            return len(page.ids) < self.page_size and not may_be_cut
        return not page.next_link and len(page.ids) < self._largest_page

    def _request(self, extra: Params) -> Params:
        params = {**self.filters, **extra}
        self._requested.add(_page_identity(params))
        return params


_PAGE_PARAMETERS = {"pageindex": "pageIndex", "pagesize": "pageSize"}
