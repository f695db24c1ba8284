"""Connect the dashboard to the warehouse, and translate errors of reading into notices for its pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from m365_jobs.warehouse.reader import Reader

IDLE_SECONDS = 0.25
"""Seconds that the connection to a DuckDB file stays open after a query."""

MAX_OPEN_SECONDS = 2.0
"""Seconds that the connection to a DuckDB file stays open at most; a load that writes waits for as long."""


class WarehouseUnavailableError(Exception):
    """Report that the warehouse cannot be read now; the text is for the page."""


class WarehouseConnection:
    """Connect to the warehouse.

    A DuckDB file has one connection in this process, since a second one would share the locked settings of the first.
    It stays open for ``IDLE_SECONDS`` after a query, because opening is slower than many queries. On a server each
    query has a connection of its own.
    """

    def __init__(self, open_reader: Callable[[], AbstractContextManager[Reader]], *, is_shared: bool) -> None:
        """Connect with ``open_reader``; ``is_shared`` keeps one connection for all threads."""
        self._open_reader, self._is_shared = open_reader, is_shared
        self._lock = threading.RLock()
        self._stack: ExitStack | None = None
        self._reader: Reader | None = None
        self._opened_at = 0.0
        """Clock of ``time.monotonic``."""
        self._close_timer: threading.Timer | None = None

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Yield a reader. A shared one is locked for other threads until the block ends.

        Raises:
            DestinationUndefinedEntity: if the warehouse does not exist.
            DatabaseException: if the warehouse cannot be opened.
        """
        if not self._is_shared:
            with self._open_reader() as reader:
                yield reader
            return
        with self._lock:
            if self._close_timer:
                self._close_timer.cancel()
            try:
                yield self._reader or self._open()
            except BaseException:
                self._close()
                raise
            if time.monotonic() - self._opened_at < MAX_OPEN_SECONDS:
                self._close_timer = threading.Timer(IDLE_SECONDS, self._close)
                self._close_timer.daemon = True
                self._close_timer.start()
            else:
                self._close()

    def _open(self) -> Reader:
        with ExitStack() as stack:
            self._reader = stack.enter_context(self._open_reader())
            self._stack, self._opened_at = stack.pop_all(), time.monotonic()
            return self._reader

    def _close(self) -> None:
        with self._lock:
            stack, self._stack, self._reader = self._stack, None, None
            if stack:
                stack.close()
