"""Limit requests per API host. After a 429 all workers wait, then fewer send at once, and slowly more again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

RECOVERY = 4
"""Responses per permitted request, without a pause, after which one more may be sent at once."""


_limiters: WeakValueDictionary[str, RateLimiter] = WeakValueDictionary()
_limiters_lock = threading.Lock()


def limiter_of(host: str, concurrency: int) -> RateLimiter:
    """Return the limiter of an API host, which all clients of this process share.

    Tenants on one host have one limit, the lowest of theirs.
    """
    with _limiters_lock:
        limiter = _limiters.get(host)
        if limiter is None:
            limiter = _limiters[host] = RateLimiter(concurrency)
        limiter.lower_to(concurrency)
        return limiter


class RateLimiter:
    """Permit at most ``limit`` requests at once, and none while the API asks for a pause.

    Each pause halves the limit. ``RECOVERY`` times as many responses as the limit, without another pause, raise it by
    one.
    """

    def __init__(self, concurrency: int) -> None:
        self._changed = threading.Condition()
        self._most = self.limit = concurrency
        self._in_flight = self._responses = 0
        self._round = 0
        self.paused_until = 0.0
        """End of the last pause, in monotonic seconds."""
        self.pauses = 0
        """Pauses since the last response that was not a 429."""

    def lower_to(self, concurrency: int) -> None:
        """Lower the limit to that of a client that permits no more."""
        with self._changed:
            self._most = min(self._most, concurrency)
            self.limit = min(self.limit, self._most)

    @contextmanager
    def acquire(self, check: Callable[[], None] = lambda: None) -> Iterator[int]:
        """Wait until a request may be sent; the block sends it, and passes the number it gets to ``pause``.

        ``check`` is called now and then meanwhile, and at the end; it may raise.
        """
        with self._changed:
            while (wait := self.paused_until - time.monotonic()) > 0 or self._in_flight >= self.limit:
                check()
                self._changed.wait(min(wait, 1) if wait > 0 else None)
            check()
            self._in_flight += 1
            number = self._round
        try:
            yield number
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def pause(self, seconds: float, number: int) -> None:
        """Permit no request for so long. The 429s of requests that were in flight together count as one pause."""
        with self._changed:
            if number == self._round:
                self._round, self._responses = self._round + 1, 0
                self.limit = max(self.limit // 2, 1)
                self.pauses += 1
            self.paused_until = max(self.paused_until, time.monotonic() + seconds)

    def succeeded(self) -> None:
        """Count a response that was not a 429."""
        with self._changed:
            self.pauses = 0
            self._responses += 1
            if self.limit < self._most and self._responses >= RECOVERY * self.limit:
                self.limit, self._responses = self.limit + 1, 0
                self._changed.notify_all()
