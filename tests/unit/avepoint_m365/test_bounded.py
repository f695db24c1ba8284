"""Test that the bodies of parallel responses cannot fill the memory together."""

import threading
from typing import Any, cast

from avepoint_m365.api.bounded import LARGE_MEGABYTES, MEGABYTE, BoundedBody


class Body:
    """Stand in for a response of urllib3: a body in reads of a megabyte, with a pause before one of them."""

    def __init__(self, megabytes: int, pause_at: int | None = None) -> None:
        self.left, self.read = megabytes, 0
        self.pause_at, self.paused, self.resume = pause_at, threading.Event(), threading.Event()

    def read1(self, amount: int, decode_content: bool) -> bytes:
        if self.read == self.pause_at:
            self.paused.set()
            assert self.resume.wait(60)
        self.read += 1
        return b"x" * MEGABYTE if self.read <= self.left else b""


def in_thread(body: Body) -> tuple[threading.Thread, list[int]]:
    """Read a body in a thread; return the thread and the sizes that it reads."""
    sizes: list[int] = []
    bounded = BoundedBody(cast(Any, body), "api.example", 128)
    thread = threading.Thread(target=lambda: sizes.extend(map(len, bounded.stream(1))), daemon=True)
    thread.start()
    return thread, sizes


def test_of_all_large_bodies_one_is_read_at_a_time() -> None:
    first, second = Body(30, pause_at=20), Body(30)
    slow, first_sizes = in_thread(first)
    assert first.paused.wait(60)
    waiting, second_sizes = in_thread(second)
    small, small_sizes = in_thread(Body(LARGE_MEGABYTES))
    small.join(60)
    assert sum(small_sizes) == LARGE_MEGABYTES * MEGABYTE
    assert (waiting.is_alive(), second.read <= LARGE_MEGABYTES + 1) == (True, True)
    first.resume.set()
    slow.join(60)
    waiting.join(60)
    assert sum(first_sizes) == sum(second_sizes) == 30 * MEGABYTE
