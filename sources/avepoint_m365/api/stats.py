"""Count the attempts of a client, record its waits, and define the token that cancels it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from typing import NamedTuple
from weakref import WeakSet

from avepoint_m365.exceptions import InterruptedLoadError
from avepoint_m365.futures import result_of, start


class CancelToken(threading.Event):
    """Stop requests: once any thread has set the token, no further request is sent and callers get an error.

    Requests in flight end as well, and so do waits: Python interrupts neither in threads other than the main one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._connections: WeakSet[socket.socket] = WeakSet()
        self._abandonable: WeakSet[Future[None]] = WeakSet()
        # Reentrant: the handler of a signal, which sets the token, may interrupt the thread that holds the lock.
        self._lock = threading.RLock()

    def set(self) -> None:
        """Set the token, and end the responses that threads are reading and what :meth:`run` waits for."""
        super().set()
        with self._lock:
            connections, abandonable = list(self._connections), list(self._abandonable)
        for future in abandonable:
            future.cancel()
        for connection in connections:
            with suppress(OSError):  # The server has closed the connection.
                # The method of TLS sockets would change them while another thread reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def end_when_set(self, connection: socket.socket) -> None:
        """Close a connection once the token is set.

        Raises:
            InterruptedLoadError: if it is set already.
        """
        with self._lock:
            self._connections.add(connection)
        self.raise_if_set()

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work`` in another thread, which is abandoned once the token is set.

        A search for a host's address, a connection and a handshake cannot be ended from outside.

        Raises:
            InterruptedLoadError: once the token is set.
        """
        self.raise_if_set()
        future = start(work)
        with self._lock:
            self._abandonable.add(future)
        self.raise_if_set()
        try:
            result_of(future)
        except CancelledError:
            raise InterruptedLoadError from None

    def pause(self, seconds: float) -> None:
        """Wait for a number of seconds.

        Raises:
            InterruptedLoadError: once the token is set.
        """
        if self.wait(seconds):
            raise InterruptedLoadError

    def raise_if_set(self) -> None:
        """Raise an error if the token is set.

        Raises:
            InterruptedLoadError: if it is set.
        """
        if self.is_set():
            raise InterruptedLoadError


class Wait(NamedTuple):
    """Describe a wait of requests, for messages."""

    reason: str
    """throttled, unreachable, or the status of an error such as 503."""
    attempt: int = 0
    attempts: int = 0
    until: float | None = None
    """End of the wait, in monotonic seconds, if it is known."""

    def __str__(self) -> str:
        """Return the wait in words."""
        if self.until is not None:
            return f"{self.reason}, resumes in {max(round(self.until - time.monotonic()), 1)} s"
        return f"{self.reason}, attempt {self.attempt} of {self.attempts}"


class RequestStats:
    """Count attempts of requests, in total and for each thread; the transport reports each of them."""

    def __init__(self) -> None:
        self._lock, self._local = threading.Lock(), threading.local()
        self.attempts = 0
        self.throttled = 0
        """Responses with 429."""
        self.interrupted = CancelToken()
        self._wait: Wait | None = None

    @property
    def attempts_of_thread(self) -> int:
        """Return the attempts of the calling thread so far."""
        return getattr(self._local, "attempts", 0)

    @property
    def waiting(self) -> Wait | None:
        """Return the current wait of requests; None while responses arrive."""
        wait = self._wait
        over = wait is not None and wait.until is not None and wait.until < time.monotonic()
        return None if over else wait

    def count(self, throttled: bool) -> None:
        """Count one attempt."""
        self._local.attempts = self.attempts_of_thread + 1
        with self._lock:
            self.attempts += 1
            self.throttled += throttled

    @contextmanager
    def cancelled_on_failure(self) -> Iterator[None]:
        """End all requests if the block fails; otherwise the process waits for companions in threads."""
        try:
            yield
        except BaseException:
            self.interrupted.set()
            raise

    def record_wait(self, wait: Wait | None) -> None:
        """Record the current wait of requests; None for its end."""
        self._wait = wait
