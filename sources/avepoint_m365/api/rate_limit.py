"""What a 429 does to all workers: everybody waits, then fewer ask at once, and slowly more again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from weakref import WeakValueDictionary


def retry_after(header: str | None, attempt: int, factor: float, longest: float) -> float:
    """Seconds to wait before attempt ``attempt`` + 1, at most ``longest``.

    ``header`` is Retry-After, in seconds or as a date (RFC 9110). Without it, or where it asks for no wait at all, as
    a date that was rounded does, the wait doubles with each attempt, from ``factor`` seconds on. The vendor documents
    neither limits nor the header.
    """
    doubling = factor * 2 ** min(attempt - 1, 30)
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            moment = parsedate_to_datetime(header or "")
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = (moment - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            seconds = doubling
    if math.isnan(seconds) or seconds <= 0:
        seconds = doubling
    return min(seconds, longest)


_gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
_making = threading.Lock()


def gate_of(host: str, concurrency: int) -> Gate:
    """The gate of an API host, shared by all who ask it in this process: tenants of one host have one limit, which is
    the lowest of theirs."""
    with _making:
        gate = _gates.get(host)
        if gate is None:
            gate = _gates[host] = Gate(concurrency)
        gate.allow_at_most(concurrency)
        return gate


class Gate:
    """Lets at most ``limit`` requests through at once, and none while the API has asked for a pause.

    Each pause halves the limit; four times as many answers as it is, without another pause, raise it by one.
    """

    def __init__(self, concurrency: int) -> None:
        self._changed = threading.Condition()
        self._most = self.limit = concurrency
        self._inside = self._fine = 0
        self._closed_until, self._round = 0.0, 0
        self.pauses = 0
        """Pauses since the last answer that was not a 429."""

    @property
    def closed_until(self) -> float:
        """Return the end of the pause, in monotonic seconds."""
        return self._closed_until

    def allow_at_most(self, concurrency: int) -> None:
        """Lowers the limit to that of somebody who wants no more."""
        with self._changed:
            self._most = min(self._most, concurrency)
            self.limit = min(self.limit, self._most)

    @contextmanager
    def passage(self, go_on: Callable[[], None] = lambda: None) -> Iterator[int]:
        """Waits until a request may be sent; the block sends it, and gives the number it gets to ``close``. Meanwhile,
        and at the end, ``go_on`` is called now and then; it may raise."""
        with self._changed:
            while (wait := self._closed_until - time.monotonic()) > 0 or self._inside >= self.limit:
                go_on()
                self._changed.wait(min(wait, 1) if wait > 0 else None)
            go_on()
            self._inside += 1
            number = self._round
        try:
            yield number
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, seconds: float, number: int) -> None:
        """Nobody passes for so long. The 429s of requests that were under way together count as one pause."""
        with self._changed:
            if number == self._round:
                self._round, self._fine = self._round + 1, 0
                self.limit = max(self.limit // 2, 1)
                self.pauses += 1
            self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    def went_well(self) -> None:
        """An answer came that was not a 429."""
        with self._changed:
            self.pauses = 0
            self._fine += 1
            if self.limit < self._most and self._fine >= 4 * self.limit:
                self.limit, self._fine = self.limit + 1, 0
                self._changed.notify_all()
