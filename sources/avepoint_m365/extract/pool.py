"""Keeping requests in flight: readers say what they want to ask, one pool of workers asks it.

A reader is a generator. It yields lists of requests, is sent their answers in the same order, and returns what it
made of them. So it is plain code without threads, hundreds of readers go on side by side, and no more requests are
under way than there are workers, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from avepoint_m365.api.page import JobsPage as Answer
from avepoint_m365.endpoints import Params

__all__ = ["Answer", "Dispatcher", "Reader"]

Key = TypeVar("Key")
Result = TypeVar("Result")


Reader = Generator[list[Params], list[Answer], Result]
Ask = Callable[[Params], Answer]


@dataclass
class _Talk(Generic[Key, Result]):
    """A reader and the answers it waits for."""

    key: Key
    reader: Reader[Result]
    waiting: list[Future[Answer]]
    missing: int = 0


class Dispatcher:
    """Runs readers; ``concurrency`` requests at most are under way at once, first come first served."""

    def __init__(self, ask: Ask, concurrency: int) -> None:
        self._ask, self._concurrency = ask, concurrency

    def run(
        self,
        readers: Mapping[Key, Reader[Result]],
        when_done: Callable[[Result], None] = lambda result: None,
    ) -> dict[Key, Result]:
        """What each reader returns; ``when_done`` is told of each as it ends.

        Raises:
            SourceError: the first that a reader lets through; what others had asked is given up.
        """
        results: dict[Key, Result] = {}
        events: SimpleQueue[tuple[_Talk[Key, Result], Future[Answer]]] = SimpleQueue()
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="avepoint")

        def go_on(talk: _Talk[Key, Result]) -> None:
            try:
                requests = _resume(talk)
            except StopIteration as end:
                results[talk.key] = end.value
                when_done(end.value)
                return
            talk.missing = len(requests)
            talk.waiting = [pool.submit(self._ask, params) for params in requests]
            for future in talk.waiting:
                future.add_done_callback(lambda done: events.put((talk, done)))

        try:
            for key, reader in readers.items():
                go_on(_Talk(key, reader, []))
            while len(results) < len(readers):
                talk, answered = events.get()
                talk.missing -= 1
                if not answered.cancelled() and answered.exception():
                    for other in talk.waiting:
                        other.cancel()
                if not talk.missing:
                    go_on(talk)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return {key: results[key] for key in readers}


def _resume(talk: _Talk[Key, Result]) -> list[Params]:
    """Hands the answers to the reader, or the first error, and takes its next requests."""
    if not talk.waiting:
        return next(talk.reader)
    for future in talk.waiting:
        if not future.cancelled() and (error := future.exception()):
            return talk.reader.throw(error)
    return talk.reader.send([future.result() for future in talk.waiting])
