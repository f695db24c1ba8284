"""Wait for other workers until Ctrl+C, in any thread; Python raises KeyboardInterrupt in the main thread only."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TypeVar

from avepoint_m365.exceptions import InterruptedLoadError

Result = TypeVar("Result")

POLL = 0.1
"""Seconds between two attempts, unless the caller names others."""

_interrupted: ContextVar[threading.Event | None] = ContextVar("interrupted", default=None)


@contextmanager
def unless(interrupted: threading.Event) -> Iterator[None]:
    """End all waits of this thread within the block once ``interrupted`` is set; see ``retry_while``."""
    before = _interrupted.set(interrupted)
    try:
        yield
    finally:
        _interrupted.reset(before)


@contextmanager
def set_on_ctrl_c(interrupted: threading.Event) -> Iterator[None]:
    """Set ``interrupted`` on Ctrl+C within the block, before KeyboardInterrupt is raised in the main thread.

    So the last steps of an interrupted load do not wait for another worker.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        # The caller ignores or handles the signal.
        yield
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def retry_while(
    busy: Callable[[Exception], bool],
    attempt: Callable[[], Result],
    patience: float,
    announce: Callable[[Exception], None] | None = None,
    poll: float = POLL,
) -> Result:
    """Return the result of ``attempt``, repeated while another worker is in its way.

    Args:
        busy: Returns whether an error of ``attempt`` may pass; any other is raised at once.
        attempt: Is called every ``poll`` seconds.
        patience: Seconds after which the error of the last attempt is raised; 0 for a single attempt.
        announce: Receives the error of the second attempt. The first one may meet a file that is being closed.
        poll: Seconds between two attempts.

    Raises:
        InterruptedLoadError: if the load is, or was, interrupted; see ``unless``.
    """
    give_up, attempts = time.monotonic() + patience, 0
    while True:
        try:
            return attempt()
        except Exception as error:
            if not busy(error) or time.monotonic() >= give_up:
                raise
            attempts += 1
            if attempts == 2 and announce is not None:
                announce(error)
        _pause(poll)


def _pause(seconds: float) -> None:
    interrupted = _interrupted.get()
    if interrupted is None:
        time.sleep(seconds)
    elif interrupted.wait(seconds):
        raise InterruptedLoadError
