"""Wait for the results of threads, and look for signals meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")

SIGNAL_POLL = 0.2
"""Seconds after which a waiting thread looks for signals."""


def result_of(future: Future[Result]) -> Result:
    """Return the result of a future, or raise its error.

    On a busy machine a signal does not always wake the main thread from a wait without an end, so it waits in steps.
    """
    while not future.done():
        wait([future], SIGNAL_POLL)
    return future.result()


def results_of(futures: Sequence[Future[Result]]) -> list[Result]:
    """Return the results of futures in their order; cancel the others after the first failure, or Ctrl+C."""
    try:
        return [result_of(future) for future in futures]
    finally:
        for future in futures:
            future.cancel()
