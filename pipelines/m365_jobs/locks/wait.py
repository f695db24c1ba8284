"""Waiting for others, which Ctrl+C ends in whichever thread: only the main one hears it by itself."""

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
    """Within the block, in this thread, nobody is waited for any more once ``interrupted`` is set."""
    before = _interrupted.set(interrupted)
    try:
        yield
    finally:
        _interrupted.reset(before)


@contextmanager
def told_by_ctrl_c(interrupted: threading.Event) -> Iterator[None]:
    """Within the block, in the main thread, Ctrl+C sets ``interrupted`` before it does what it always does: what a load
    does on its way out waits for nobody either."""

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
    """Waits a moment before another look at whoever is waited for.

    Raises:
        InterruptedLoadError: where the load was interrupted, now or before.
    """
    interrupted = _interrupted.get()
    if interrupted is None:
        time.sleep(seconds)
    elif interrupted.wait(seconds):
        raise InterruptedLoadError
