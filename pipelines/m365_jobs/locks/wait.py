"""Wait for other workers in a way that Ctrl+C ends in any thread; Python tells only the main thread."""

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
    """End all waits of this thread within the block once ``interrupted`` is set."""
    before = _interrupted.set(interrupted)
    try:
        yield
    finally:
        _interrupted.reset(before)


@contextmanager
def set_on_ctrl_c(interrupted: threading.Event) -> Iterator[None]:
    """Set ``interrupted`` on Ctrl+C within the block, in the main thread, before the usual reaction.

    So the last steps of an interrupted load wait for no other worker.
    """

    def hear(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        # Whoever started this process has it ignored, or has plans of his own for it.
        yield
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def pause(seconds: float) -> None:
    """Wait a moment before the next look at another worker.

    Raises:
        InterruptedLoadError: where the load was interrupted, now or before.
    """
    interrupted = _interrupted.get()
    if interrupted is None:
        time.sleep(seconds)
    elif interrupted.wait(seconds):
        raise InterruptedLoadError
