"""Send requests in parallel: one thread pool for the pages of all listings, and one for the listings themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import Params
from avepoint_m365.futures import results_of

Result = TypeVar("Result")
RequestPage = Callable[[Params], JobsPage]


class RequestPool:
    """Send requests in parallel. Use it as a context manager.

    Pages and listings have threads of their own: a listing waits for its pages, and would block them in a shared pool.
    The client's rate limiter bounds the requests in flight of all threads.
    """

    def __init__(self, request_page: RequestPage, concurrency: int) -> None:
        """Keep ``request_page``, which returns one page, and ``concurrency``, the most requests in flight."""
        self._request_page, self.concurrency = request_page, concurrency
        self._pages = ThreadPoolExecutor(concurrency, thread_name_prefix="avepoint-page")
        self._listings = ThreadPoolExecutor(2 * concurrency, thread_name_prefix="avepoint-listing")

    def __enter__(self) -> RequestPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for threads in (self._listings, self._pages):
            threads.shutdown(wait=True, cancel_futures=True)

    def request_all(self, requests: Sequence[Params]) -> list[JobsPage]:
        """Return the pages in the order of the requests.

        Raises:
            SourceError: the first failure; requests that have not begun are cancelled.
        """
        if len(requests) == 1:
            return [self._request_page(requests[0])]
        return results_of([self._pages.submit(self._request_page, params) for params in requests])

    def run_parallel(self, listings: Sequence[Callable[[], Result]]) -> list[Result]:
        """Return the results of functions that read listings, in their order; several run in threads.

        Raises:
            SourceError: the first failure; functions that have not begun are cancelled.
        """
        if len(listings) == 1:
            return [listings[0]()]
        return results_of([self._listings.submit(read) for read in listings])
