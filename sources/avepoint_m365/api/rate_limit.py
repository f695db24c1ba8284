"""Limit requests per API host: a 429 pauses all workers and halves the limit, which then rises slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

RECOVERY = 4
"""The limit rises by one after this many responses per permitted request without a pause."""


_limiters: WeakValueDictionary[str, RateLimiter] = WeakValueDictionary()
_limiters_lock = threading.Lock()


def limiter_of(host: str, concurrency: int) -> RateLimiter:
    """Return the limiter of an API host, which all clients of this process share.

    Its limit is the lowest concurrency of these clients.
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
        self._max_limit = self.limit = concurrency
        self._in_flight = self._responses = 0
        self._current_round = 0
        self.paused_until = 0.0
        """End of the last pause, in monotonic seconds."""
        self.pauses = 0
        """Pauses since the last response that was not a 429."""

    def lower_to(self, concurrency: int) -> None:
        """Lower the limit to ``concurrency``, unless it is lower already."""
        with self._changed:
            self._max_limit = min(self._max_limit, concurrency)
            self.limit = min(self.limit, self._max_limit)

    @contextmanager
    def acquire(self, check: Callable[[], None] = lambda: None) -> Iterator[int]:
        """Wait until a request may be sent, then run the block, which sends it; yield the number of the round.

        A round ends with a pause; the block passes the number to ``pause``. ``check`` is called repeatedly while the
        caller waits, and once before the block; it raises to cancel the request.
        """
        with self._changed:
            while (wait := self.paused_until - time.monotonic()) > 0 or self._in_flight >= self.limit:
                check()
                self._changed.wait(min(wait, 1) if wait > 0 else 1)
            check()
            self._in_flight += 1
            number = self._current_round
        try:
            yield number
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def pause(self, seconds: float, number: int) -> None:
        """Permit no request for so many seconds. All 429s of one round count as one pause."""
        with self._changed:
            if number == self._current_round:
                self._current_round, self._responses = self._current_round + 1, 0
                self.limit = max(self.limit // 2, 1)
                self.pauses += 1
            self.paused_until = max(self.paused_until, time.monotonic() + seconds)

    def succeeded(self) -> None:
        """Count a response that was not a 429."""
        with self._changed:
            self.pauses = 0
            self._responses += 1
            if self.limit < self._max_limit and self._responses >= RECOVERY * self.limit:
                self.limit, self._responses = self.limit + 1, 0
                self._changed.notify_all()
