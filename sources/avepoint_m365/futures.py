"""Run work in threads, and wait for its results so that signals are noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
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
    return list(results_in_order(futures))


def results_in_order(futures: Sequence[Future[Result]]) -> Iterator[Result]:
    """Yield the results of futures in their order; cancel the others if the caller ends early."""
    try:
        for future in futures:
            yield result_of(future)
    finally:
        _cancel(futures)


def results_as_completed(futures: Sequence[Future[Result]]) -> Iterator[Result]:
    """Yield the results of futures, the earliest first; cancel the others if the caller ends early."""
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, SIGNAL_POLL, FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        _cancel(futures)


def _cancel(futures: Sequence[Future[Result]]) -> None:
    for future in futures:
        future.cancel()
