"""Limit requests per API host and per client: a 429 pauses them and halves the limit, which then rises slowly.

The vendor does not say whether it limits a tenant or a host. So a 429 pauses its own client, and the host once a second
client is refused as well. A tenant that hangs or is throttled must not stop the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakValueDictionary

RECOVERY = 4
"""The limit rises by one after this many responses per permitted request without a pause."""

SLOW_SECONDS = 15.0
"""Seconds without a response after which a request counts as slow."""


_limiters: WeakValueDictionary[str, HostLimiter] = WeakValueDictionary()
_limiters_lock = threading.Lock()


def limiter_of(host: str, concurrency: int) -> HostLimiter:
    """Return the limiter of an API host, which all clients of this process share.

    Its limit is the lowest concurrency of these clients.
    """
    with _limiters_lock:
        limiter = _limiters.get(host)
        if limiter is None:
            limiter = _limiters[host] = HostLimiter(concurrency)
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
        self._in_flight: dict[int, float] = {}
        """Number and start of each request, in monotonic seconds."""
        self._sent = self._newest_answered = 0
        """Numbers of the newest request, and of the newest one with a response."""
        self._responses = self._current_round = 0
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
            while (wait := self.paused_until - time.monotonic()) > 0 or not self._has_room():
                check()
                self._changed.wait(min(wait, 1) if wait > 0 else 1)
            check()
            self._sent += 1
            number, pause_round = self._sent, self._current_round
            self._in_flight[number] = time.monotonic()
        answered = False
        try:
            yield pause_round
            answered = True
        finally:
            with self._changed:
                del self._in_flight[number]
                if answered:
                    self._newest_answered = max(self._newest_answered, number)
                self._changed.notify_all()

    def _has_room(self) -> bool:
        """Return whether one more request may be sent, apart from pauses."""
        return len(self._in_flight) < self.limit

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


class HostLimiter(RateLimiter):
    """Limit the requests of all clients of a host; each client has a limiter of its own as well.

    A slow request does not count once the host has answered a later one: it concerns its client alone. If all requests
    are slow, one more is sent, which shows whether the host answers others.
    """

    def __init__(self, concurrency: int) -> None:
        super().__init__(concurrency)
        self._clients: WeakKeyDictionary[object, RateLimiter] = WeakKeyDictionary()
        self._throttled: RateLimiter | None = None
        """The client of the last 429; None after any other response."""
        self._probe = 0
        """Number of the request that was sent because all others were slow."""

    def client_limiter(self, client: object) -> RateLimiter:
        """Return the limiter of one client; the same for the same object."""
        with self._changed:
            return self._clients.setdefault(client, RateLimiter(self._max_limit))

    def throttle(self, client: RateLimiter, seconds: float, rounds: tuple[int, int]) -> RateLimiter:
        """Pause a client after a 429, or all if another client got a 429 since the last other response.

        Return the limiter that pauses. ``rounds`` are those that ``acquire`` of the client and of the host yielded.
        """
        with self._changed:
            concerns_host = self._throttled not in (None, client)
            self._throttled = client
        client_round, host_round = rounds
        limiter, number = (self, host_round) if concerns_host else (client, client_round)
        limiter.pause(seconds, number)
        return limiter

    def succeeded(self) -> None:
        """Count a response that was not a 429."""
        self._throttled = None
        super().succeeded()

    def _has_room(self) -> bool:
        now = time.monotonic()
        slow = [number for number, sent_at in self._in_flight.items() if now - sent_at > SLOW_SECONDS]
        overtaken = sum(number < self._newest_answered for number in slow)
        if len(self._in_flight) - overtaken < self.limit:
            return True
        if len(slow) < len(self._in_flight) or self._probe in self._in_flight:
            return False
        self._probe = self._sent + 1
        return True
