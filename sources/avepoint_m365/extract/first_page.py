"""Request the first page of a listing in each form until the server accepts one: page number, page size, times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from avepoint_m365.api.page import JobsPage
from avepoint_m365.api.pagination import MAX_EMPTY_PAGES, Pager
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import (
    ApiError,
    EndpointMissingError,
    GatewayTimeoutError,
    PageTooLargeError,
    RefusedParametersError,
)
from avepoint_m365.extract.window import SECONDS, Selection

MIN_PAGE_SIZE = 10
"""Page sizes are not halved below this."""

FIRST_INDEXES = (None, "0", "1")
"""The vendor calls pageIndex optional, with the default 0; its samples begin with 1."""

MAX_HALVINGS_WITHOUT_EFFECT = 8
"""After this many, halving and reading again stop. A tenant of 300 jobs cost more than 6,000 requests without it."""

RequestAll = Callable[[Sequence[Params]], list[JobsPage]]


@dataclass
class PagingBehavior:
    """Hold the paging of the server as the listings of one load learned it; shared between threads."""

    page_size: int
    page_size_is_known: bool = False
    """Whether ``page_size`` is the size of the server's pages; only a page that another follows shows it."""
    first_index: str | None = None
    first_index_is_known: bool = False
    clock_lead: timedelta | None = None
    """How far the server's clock is ahead, if it refuses ranges that end after its time; None if it accepts them."""
    whole_days: bool = False
    """Whether the server refuses times, so that requests contain dates alone."""
    largest_page: int = 0
    """The most jobs that the server sent on one page, in this load or an earlier one."""
    totals_are_of_matches: bool = False
    """Whether a total exceeded the jobs of its page, so that totals count all jobs of a selection."""
    max_empty_pages: int = MAX_EMPTY_PAGES
    """The most empty pages in a row whose links are followed; few once the links of a list had no end."""
    longest_list: int | None = None
    """The most jobs that the server returns in one list, although more match; None if no such limit is known."""
    doubts_limits: bool = True
    """Whether a list as long as a usual limit is checked for jobs that it lacks; at most once a day."""
    surpluses: list[tuple[int, Selection]] = field(default_factory=list)
    """Listings whose total counts more jobs than any read returned: the difference, and the selection."""
    totals_count_others: bool = False
    """Whether totals count other jobs than those listed, such as the jobs of all tenants."""
    total_surplus: int = 0
    """How many more jobs each total counts than exist, in this load or an earlier one; 0 if totals are right."""
    _halvings_without_effect: int = 0
    """How many windows in a row were halved for their totals without a further job or a total that is right."""

    def record_halving(self, has_effect: bool) -> None:
        """Record whether halving a window for its total returned a further job, or a total that is right."""
        self._halvings_without_effect = 0 if has_effect else self._halvings_without_effect + 1
        exhausted = self._halvings_without_effect >= MAX_HALVINGS_WITHOUT_EFFECT
        self.totals_count_others = not has_effect and (self.totals_count_others or exhausted)


@dataclass
class FirstPage:
    """Hold the first page of a listing, and the requests that it took."""

    pages: list[JobsPage]
    """Page one; before it, page one in another size if the server gives smaller pages than requested."""
    refused: int = 0
    """Number of requests that the server refused before."""


def until_now(filters: Params, clock_lead: timedelta) -> Params:
    """Return the part of the range up to now by the server's clock, which is ahead of this machine's."""
    now = (datetime.now(UTC) + clock_lead).strftime(SECONDS)
    return filters | {name: min(filters[name], now) for name in ("startTime", "finishTime")}


def in_whole_days(filters: Params) -> Params:
    """Return the same range in dates alone, from the day of its start to the day after its end."""
    end = datetime.fromisoformat(filters["finishTime"]) + timedelta(days=1)
    return {**filters, "startTime": filters["startTime"][:10], "finishTime": f"{end:%Y-%m-%d}"}


def _is_in_whole_days(filters: Params) -> bool:
    return "T" not in filters["startTime"]


def read_first_page(pager: Pager, request_all: RequestAll, paging: PagingBehavior) -> FirstPage:
    """Return the first page of a listing; record in ``paging`` which form the server accepted.

    The first request contains no page number. If the server refuses it or returns no jobs, pages 0 and 1 follow. If
    the server refuses all of them, they follow again for a range that ends now, or in whole days.

    Raises:
        RefusedParametersError: if the server refuses every form.
        SourceError: any other failure of the request.
    """
    size, first, accepted = pager.page_size, FirstPage([]), None
    refusal: RefusedParametersError | EndpointMissingError | None = None
    for index in [paging.first_index] if paging.first_index_is_known else FIRST_INDEXES:
        if index == "0" and accepted is not None:
            continue  # A missing number means page 0.
        pager.page_size = size
        try:
            page = _request_with_smaller_sizes(pager, index, request_all, paging, first)
        except (RefusedParametersError, EndpointMissingError) as error:
            if isinstance(error, EndpointMissingError) and refusal is None:
                raise
            refusal = refusal or error
            continue
        if page.info.ids:
            paging.first_index, paging.first_index_is_known = index, True
        if accepted is None or page.info.ids:
            accepted = page
        if page.info.ids or page.info.next_link or (page.info.total == 0 and index is None):
            break
    if accepted is not None:
        first.pages = _fit_page_size(accepted, pager, request_all, paging)
        return first
    assert refusal is not None
    return _read_another_range(pager, request_all, paging, size, refusal)


def _read_another_range(
    pager: Pager, request_all: RequestAll, paging: PagingBehavior, size: int, refusal: ApiError
) -> FirstPage:
    """Return the first page of a range that ends now, or of one in dates alone, after the server refused its times.

    Raises:
        ApiError: ``refusal``, if the server refuses these ranges as well.
    """
    if _is_in_whole_days(pager.filters):
        raise refusal
    if _accepts_end_now(pager, request_all, paging, refusal.server_time):
        pager.page_size = size
        return read_first_page(pager, request_all, paging)
    return _read_in_whole_days(pager, request_all, paging, size, refusal)


def _accepts_end_now(
    pager: Pager, request_all: RequestAll, paging: PagingBehavior, server_time: datetime | None
) -> bool:
    """Return whether the server accepts a range if it ends now, after it refused one; keep that end in the pager.

    A load asks for a day beyond now, since clocks differ. Some servers refuse times in their future. Others refuse the
    length of the range: they also accept one as short that ends beyond now.
    """
    now, filters = datetime.now(UTC), pager.filters
    clock_lead = (server_time or now) - now
    ends_now = until_now(filters, clock_lead)
    if paging.clock_lead is None and ends_now != filters:
        pager.page_size = min(pager.page_size, MIN_PAGE_SIZE)

        def accepts(tried: Params) -> bool:
            pager.filters = tried
            try:
                request_all(pager.first(paging.first_index))
            except (RefusedParametersError, EndpointMissingError):
                return False
            return True

        if accepts(ends_now) and not accepts(_as_short(filters, ends_now)):
            pager.filters, paging.clock_lead = ends_now, clock_lead
            return True
    pager.filters = filters
    return False


def _as_short(filters: Params, shorter: Params) -> Params:
    """Return the end of a range, as long as another range."""
    start, end, shorter_end = (
        datetime.fromisoformat(value) for value in (filters["startTime"], filters["finishTime"], shorter["finishTime"])
    )
    return filters | {"startTime": (start + (end - shorter_end)).strftime(SECONDS)}


def _read_in_whole_days(
    pager: Pager, request_all: RequestAll, paging: PagingBehavior, size: int, refusal: Exception
) -> FirstPage:
    """Return the first page of a range in dates alone, after the server refused it with times.

    Raises:
        Exception: ``refusal``, if the server refuses dates as well.
    """
    paging.whole_days, pager.filters, pager.page_size = True, in_whole_days(pager.filters), size
    try:
        return read_first_page(pager, request_all, paging)
    except RefusedParametersError:
        paging.whole_days = False
        raise refusal from None


def _request_with_smaller_sizes(
    pager: Pager, index: str | None, request_all: RequestAll, paging: PagingBehavior, first: FirstPage
) -> JobsPage:
    """Return the first page under one number; halve the page size after each refusal or gateway timeout.

    Raises:
        SourceError: if the server refuses the smallest page size as well; any other failure at once.
    """
    wanted_size = pager.page_size
    if index is not None:
        # If the server refuses the smallest size, it refuses the number and not the size: smaller sizes are not tried.
        pager.page_size = min(wanted_size, MIN_PAGE_SIZE)
        try:
            request_all(pager.first(index))
        except (RefusedParametersError, EndpointMissingError):
            first.refused += 1
            raise
        pager.page_size = wanted_size
    while True:
        try:
            (page,) = request_all(pager.first(index))
        except (RefusedParametersError, GatewayTimeoutError, PageTooLargeError) as error:
            first.refused += 1
            if pager.page_size <= MIN_PAGE_SIZE or not _may_be_the_size(error):
                raise
            pager.page_size = max(pager.page_size // 2, MIN_PAGE_SIZE)
        else:
            if pager.page_size < wanted_size:
                paging.page_size = pager.page_size
            return page


def _may_be_the_size(error: Exception) -> bool:
    """Return whether the page size may be the refused parameter: the server names it, or names none."""
    parameter = (getattr(error, "parameter", None) or "").lower()
    return not parameter or "size" in parameter or "page" in parameter


def _fit_page_size(page: JobsPage, pager: Pager, request_all: RequestAll, paging: PagingBehavior) -> list[JobsPage]:
    """Return the first page, and request it again in the server's page size if that is smaller than the pager's.

    A server may number its pages by the requested size and return fewer jobs on each: every page would skip some. The
    page shows the server's size only if another one follows, as a link or a total says.
    """
    jobs = len(page.info.ids)
    more_follow = bool(page.info.next_link) or page.info.announces_more or (page.info.total or 0) > jobs
    fits = paging.page_size_is_known and pager.page_size <= paging.page_size
    if fits or not more_follow or not 0 < jobs < pager.page_size:
        return [page]
    pager.page_size = paging.page_size if paging.page_size_is_known else jobs
    return [page, *request_all(pager.first(paging.first_index))]
