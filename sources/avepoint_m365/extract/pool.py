"""Send requests in parallel: one pool for the pages of all listings, and one for the listings themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from avepoint_m365.api.page import JobsPage
from avepoint_m365.endpoints import Params

Result = TypeVar("Result")
Ask = Callable[[Params], JobsPage]


class RequestPool:
    """Send requests in parallel. Use it as a context manager.

    Pages and listings have threads of their own: a listing waits for its pages, and would block them in a shared pool.
    The client's rate limiter bounds the requests in flight of all threads.
    """

    def __init__(self, ask: Ask, concurrency: int) -> None:
        """Keep ``concurrency``, the number of requests that may be in flight."""
        self._ask, self.concurrency = ask, concurrency
        self._pages = ThreadPoolExecutor(concurrency, thread_name_prefix="avepoint-page")
        self._listings = ThreadPoolExecutor(2 * concurrency, thread_name_prefix="avepoint-listing")

    def __enter__(self) -> RequestPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for threads in (self._listings, self._pages):
            threads.shutdown(wait=True, cancel_futures=True)

    def ask_all(self, requests: Sequence[Params]) -> list[JobsPage]:
        """Return the answers in the order of the requests.

        Raises:
            SourceError: the first failure; requests that have not begun are given up.
        """
        if len(requests) == 1:
            return [self._ask(requests[0])]
        futures = [self._pages.submit(self._ask, params) for params in requests]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def side_by_side(self, listings: Sequence[Callable[[], Result]]) -> list[Result]:
        """Return what each function returns, in order; they run in threads of their own.

        Raises:
            SourceError: the first failure; functions that have not begun are given up.
        """
        if len(listings) == 1:
            return [listings[0]()]
        futures = [self._listings.submit(read) for read in listings]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
