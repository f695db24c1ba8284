"""Order pages: find the next one, and decide when to stop. The vendor does not document the form of its links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from urllib.parse import parse_qsl, urlsplit

from avepoint_m365.api.page import PageInfo
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import EndlessListError

MAX_STALE_PAGES = 3
"""Pages in a row without a new id that are accepted while the total promises more."""

MAX_EMPTY_PAGES = 300
"""Empty pages in a row whose fresh links are followed: a store may filter after it has cut its pages."""

MAX_JOBS = 1_000_000
"""Jobs of one list, which a server that makes up pages without end never stops at."""

FIRST_PAGES_AHEAD = 8
"""Pages that a total is first trusted for; twice as many each time that they held jobs. A total may lie."""

MAX_PAGES_AHEAD = 64
"""Pages of one listing that are requested side by side at most, which bounds the memory for them."""


def link_parameters(link: str | None) -> Params:
    """Return the query of a nextLink of any host and path; empty for an opaque link without a query."""
    if not link:
        return {}
    try:
        return dict(parse_qsl(urlsplit(link).query))
    except ValueError:
        return {}


def _is_number(index: str) -> bool:
    """Return true if pages can be counted on from an index; Python refuses to parse thousands of digits."""
    return index.isdecimal() and len(index) < 19


def _folded(params: Mapping[str, str]) -> Params:
    return {name.lower(): value for name, value in params.items()}


def _page_of(params: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return what identifies a page. Its size does not: a link in a circle would look new with each size."""
    return frozenset((name, value) for name, value in _folded(params).items() if name != "pagesize")


@dataclass
class Pager:
    """Decide which pages to request next, and when to stop, for one set of filters.

    It follows links while they lead to pages that were not requested yet. If there is no link, or it leads in a
    circle, it counts pages itself. Filters of the caller precede those of a link: a link never widens the question.
    """

    filters: Params
    page_size: int
    seen_ids: set[str] = field(default_factory=set)
    pages: int = 0
    total_counts_matches: bool = False
    """A total was seen that promises more than the rows on its page."""
    ended: bool = False
    """Paging ended on an empty or short page, or on a total that was reached."""
    _end_was_said: bool = False
    _last: PageInfo = field(default_factory=lambda: PageInfo([], None, None))
    _asked: set[frozenset[tuple[str, str]]] = field(default_factory=set)
    _index: int = 0
    _largest_page: int = 0
    _stale_pages: int = 0
    _pages_ahead: int = FIRST_PAGES_AHEAD
    _promised: int = 0
    """The largest total that counts matches."""

    def first(self, index: str | None = None) -> list[Params]:
        """Return the first request: without a pageIndex, unless the server needs one.

        Without it, the server's numbering (from 0 or 1) does not matter.
        """
        self._index = int(index or 0)
        return [self._ask({"pageSize": str(self.page_size), **({} if index is None else {"pageIndex": index})})]

    def add(self, page: PageInfo, new_ids: int) -> None:
        """Note a page, in the order of requests, and how many of its ids are new."""
        self.pages += 1
        self._last = page
        self._largest_page = max(self._largest_page, len(page.rows))
        if page.total is not None and page.total > len(page.rows):
            self.total_counts_matches = True
            self._promised = max(self._promised, page.total)
        self._stale_pages = 0 if new_ids else self._stale_pages + 1

    def next(self) -> list[Params]:
        """Return the requests to send now, side by side: one, or all that are left if known; none at the end.

        Raises:
            EndlessListError: if there are more jobs than a tenant can have.
        """
        if len(self.seen_ids) > MAX_JOBS:
            raise EndlessListError(
                f"The API shows more than {MAX_JOBS:,} jobs in one list, and still another page. It is not read any "
                "further. Is base_url the API's host?"
            )
        page = self._last
        if not page.rows:
            return self._after_an_empty_page(page)
        if self._stale_pages > self._stale_pages_allowed():
            # The API said that nothing is left on a full page; the page after it confirmed that.
            self.ended = self._end_was_said
            return []
        if following := self._follow(page.next_link):
            return [following, *self._ahead(following)]
        if self._is_last(page):
            self.ended = True
            return []
        numbering_is_known = self.pages > 1 and not self._stale_pages
        # A server that gives fewer jobs than requested may still count pages of the requested size.
        self.page_size = min(self.page_size, self._largest_page)
        self._index += 1
        following = self._ask({"pageSize": str(self.page_size), "pageIndex": str(self._index)})
        return [following, *(self._ahead(following) if numbering_is_known else [])]

    def _after_an_empty_page(self, page: PageInfo) -> list[Params]:
        """Follow the link of an empty page while it is fresh; without one the listing ends here.

        That is no end if the API promised more jobs and now sends no list at all: its index may have failed.
        """
        if not page.next_link or (self.total_counts_matches and not self.more_is_promised):
            self.ended = not page.without_list or len(self.seen_ids) >= self._promised
            return []
        following = self._follow(page.next_link) if self._stale_pages <= MAX_EMPTY_PAGES else None
        return [following] if following else []

    @property
    def more_is_promised(self) -> bool:
        """Return true if the API counts more matches than were seen."""
        total = self._last.total
        return self.total_counts_matches and total is not None and len(self.seen_ids) < total

    @property
    def more_is_announced(self) -> bool:
        """Return true if a total or a link promises pages after the last one."""
        return self.more_is_promised or bool(self._last.next_link)

    def _stale_pages_allowed(self) -> int:
        # If pages are numbered from 1, page 1 of our count repeats the first page; so does a link in a circle. If many
        # jobs appear meanwhile, a whole page may have moved on by one: continue while the total promises more.
        if self.more_is_promised or not self._last.rows:
            return MAX_STALE_PAGES
        return 1 if self.pages == 2 else 0

    def _follow(self, link: str | None) -> Params | None:
        own = _folded(self.filters)
        from_link = link_parameters(link).items()
        steps = {_SPELLING.get(name.lower(), name): value for name, value in from_link if name.lower() not in own}
        if not steps.keys() - {"pageSize"}:
            return None
        params = {"pageSize": str(self.page_size), **self.filters, **steps}
        if _page_of(params) in self._asked:
            return None
        if _is_number(steps.get("pageIndex", "")):
            self._index = int(steps["pageIndex"])
        return self._ask(params)

    def _ahead(self, step: Params) -> list[Params]:
        """Return the pages after ``step``, if it goes by number alone and the total tells how many there are.

        Requested side by side they take a fraction of the time of 200 pages one after the other.
        """
        by_number = step.keys() - self.filters.keys() == {"pageIndex", "pageSize"} and _is_number(step["pageIndex"])
        if not by_number or not self.more_is_promised or self._last.total is None or not self._largest_page:
            return []
        first = int(step["pageIndex"])
        count = min(ceil((self._last.total - len(self.seen_ids)) / self._largest_page), self._pages_ahead)
        self._pages_ahead = min(self._pages_ahead * 2, MAX_PAGES_AHEAD)
        self._index = first + count - 1
        return [self._ask({**step, "pageIndex": str(first + further)}) for further in range(1, count)]

    def _is_last(self, page: PageInfo) -> bool:
        if self.more_is_promised:
            return False
        if self.total_counts_matches and page.total == len(self.seen_ids) and not page.next_link:
            # Beside a link to more, the total may count something else, or no further.
            return True
        if page.next_link == "":
            # Documented as "nothing is left"; confirmed by another request only after a full page.
            self._end_was_said = True
            return len(page.rows) < self.page_size
        return not page.next_link and len(page.rows) < self._largest_page

    def _ask(self, extra: Params) -> Params:
        params = {**self.filters, **extra}
        self._asked.add(_page_of(params))
        return params


_SPELLING = {"pageindex": "pageIndex", "pagesize": "pageSize"}
