"""Wait for other workers until Ctrl+C, in any thread; Python raises KeyboardInterrupt in the main thread only."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from avepoint_m365.exceptions import InterruptedLoadError

_interrupted: ContextVar[threading.Event | None] = ContextVar("interrupted", default=None)


@contextmanager
def unless(interrupted: threading.Event) -> Iterator[None]:
    """End all waits of this thread within the block once ``interrupted`` is set; see ``pause``."""
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


def pause(seconds: float) -> None:
    """Wait for a number of seconds.

    Raises:
        InterruptedLoadError: if the load is, or was, interrupted; see ``unless``.
    """
    interrupted = _interrupted.get()
    if interrupted is None:
        time.sleep(seconds)
    elif interrupted.wait(seconds):
        raise InterruptedLoadError
