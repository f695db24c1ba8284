"""Request the first page of a listing: find the page number, page size and form of times that the server accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from avepoint_m365.api.page import JobsPage
from avepoint_m365.api.pagination import Pager
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import (
    EndpointMissingError,
    GatewayTimeoutError,
    PageTooLargeError,
    RefusedParametersError,
)
from avepoint_m365.extract.window import Selection

MIN_PAGE_SIZE = 10
"""Page sizes are not halved below this."""

FIRST_INDEXES = (None, "0", "1")
"""The vendor calls pageIndex optional, with the default 0; its samples begin with 1."""

AskAll = Callable[[Sequence[Params]], list[JobsPage]]


@dataclass
class PagingBehavior:
    """Hold what the listings of one load learned about paging; shared between threads."""

    page_size: int
    page_size_is_known: bool = False
    """Whether a page was followed by another, so that its size is that of the server's pages."""
    first_index: str | None = None
    first_index_is_known: bool = False
    whole_days: bool = False
    """Whether the server refuses times, and is asked for dates alone."""
    surpluses: list[tuple[int, Selection]] = field(default_factory=list)
    """How many more jobs a listing counted than it showed, time and again."""
    total_surplus: int = 0
    """How many more jobs each listing counts than there are; 0 if totals are right or unknown."""


@dataclass
class FirstPage:
    """Describe how the first page was obtained."""

    answers: list[JobsPage]
    """The answer to continue from, and before it those that taught the size of pages."""
    refused: int = 0
    """Requests that the server refused on the way."""


def in_whole_days(filters: Params) -> Params:
    """Return the same range in dates alone, from the day of its start to the day after its end."""
    end = datetime.fromisoformat(filters["finishTime"]) + timedelta(days=1)
    return {**filters, "startTime": filters["startTime"][:10], "finishTime": f"{end:%Y-%m-%d}"}


def _is_in_whole_days(filters: Params) -> bool:
    return "T" not in filters["startTime"]


def read_first_page(pager: Pager, ask_all: AskAll, paging: PagingBehavior) -> FirstPage:
    """Return the first page of a listing, and remember what the server accepted.

    The page is asked for without a number. If that is refused or shows nothing, it is asked for as page 0 and 1. If all
    of that is refused, it is asked for in whole days.

    Raises:
        RefusedParametersError: if the server refuses every form.
        SourceError: any other failure of the request.
    """
    size, first, best = pager.page_size, FirstPage([]), None
    refusal: RefusedParametersError | EndpointMissingError | None = None
    for index in [paging.first_index] if paging.first_index_is_known else FIRST_INDEXES:
        if index == "0" and best is not None:
            continue  # 0 is what a missing number means
        pager.page_size = size
        try:
            answer = _ask_with_smaller_sizes(pager, index, ask_all, paging, first)
        except (RefusedParametersError, EndpointMissingError) as error:
            if isinstance(error, EndpointMissingError) and refusal is None:
                raise
            refusal = refusal or error
            continue
        if answer.page.rows:
            paging.first_index, paging.first_index_is_known = index, True
        if best is None or answer.page.rows:
            best = answer
        if answer.page.rows or answer.page.next_link or (answer.page.total == 0 and index is None):
            break
    if best is not None:
        first.answers = _fit_page_size(best, pager, ask_all, paging)
        return first
    assert refusal is not None
    if _is_in_whole_days(pager.filters):
        raise refusal
    return _in_whole_days_instead(pager, ask_all, paging, size, refusal)


def _in_whole_days_instead(
    pager: Pager, ask_all: AskAll, paging: PagingBehavior, size: int, refusal: Exception
) -> FirstPage:
    paging.whole_days, pager.filters, pager.page_size = True, in_whole_days(pager.filters), size
    try:
        return read_first_page(pager, ask_all, paging)
    except RefusedParametersError:
        paging.whole_days = False
        raise refusal from None


def _ask_with_smaller_sizes(
    pager: Pager, index: str | None, ask_all: AskAll, paging: PagingBehavior, first: FirstPage
) -> JobsPage:
    """Return the first page under one number, with half the page size after each refusal or gateway timeout."""
    wanted = pager.page_size
    if index is not None:
        # A number that is refused at the smallest size is refused for its own sake.
        pager.page_size = min(wanted, MIN_PAGE_SIZE)
        try:
            ask_all(pager.first(index))
        except (RefusedParametersError, EndpointMissingError):
            first.refused += 1
            raise
        pager.page_size = wanted
    while True:
        try:
            (answer,) = ask_all(pager.first(index))
        except (RefusedParametersError, GatewayTimeoutError, PageTooLargeError) as error:
            first.refused += 1
            if pager.page_size <= MIN_PAGE_SIZE or not _may_be_the_size(error):
                raise
            pager.page_size = max(pager.page_size // 2, MIN_PAGE_SIZE)
        else:
            if pager.page_size < wanted:
                paging.page_size = pager.page_size
            return answer


def _may_be_the_size(error: Exception) -> bool:
    """Return False if the server names another parameter than the page size as the one that it refuses."""
    parameter = (getattr(error, "parameter", None) or "").lower()
    return not parameter or "size" in parameter or "page" in parameter


def _fit_page_size(answer: JobsPage, pager: Pager, ask_all: AskAll, paging: PagingBehavior) -> list[JobsPage]:
    """Return the first page again in the size that the server gives, if that is less than was asked for.

    A server may cut its pages by the size that was asked for and show fewer jobs on each: every page would skip some.
    Only a page that another follows teaches the size, since totals and links may promise more after the last page.
    """
    given, more = len(answer.page.rows), bool(answer.page.next_link) or (answer.page.total or 0) > len(answer.page.rows)
    fits = paging.page_size_is_known and pager.page_size <= paging.page_size
    if fits or not more or not 0 < given < pager.page_size:
        return [answer]
    pager.page_size = paging.page_size if paging.page_size_is_known else given
    return [answer, *ask_all(pager.first(paging.first_index))]
