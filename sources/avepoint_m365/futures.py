"""Run work in threads, and wait for its results so that signals are noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")

SIGNAL_POLL = 0.2
"""Seconds after which a waiting thread looks for signals."""


def start(work: Callable[[], Result]) -> Future[Result]:
    """Run ``work`` in a thread of its own, which does not keep the process from ending; return its future.

    A caller may cancel the future while the work runs. The work then continues, and its result is dropped.
    """
    future: Future[Result] = Future()

    def run() -> None:
        # The result of a cancelled future cannot be set.
        with suppress(InvalidStateError):
            try:
                result = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future


def result_of(future: Future[Result]) -> Result:
    """Return the result of a future, or raise its error.

    It waits in steps: a signal does not always wake the main thread from a wait without an end, on Windows never.
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
