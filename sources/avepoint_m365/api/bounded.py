"""Bound size and time of a response: requests reads what a server sends for as long as a byte comes now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

from avepoint_m365.exceptions import PageTooLargeError

MEGABYTE = 1_000_000

TIMEOUTS = 5
"""A body may take so many times what the client waits for its next byte."""

AT_ONCE = 65_536
"""Bytes that are read at once at most."""


class BoundedBody:
    """Read a body on behalf of requests, and stop where it grows larger than allowed."""

    def __init__(self, raw: urllib3.HTTPResponse, host: str, megabytes: int, seconds: float) -> None:
        """Keep ``raw``, the body as urllib3 gives it."""
        self._raw, self._host, self._megabytes, self._seconds = raw, host, megabytes, seconds

    def __getattr__(self, name: str) -> Any:
        """Return everything but the content from urllib3's own object."""
        return getattr(self._raw, name)

    def stream(self, amount: int, decode_content: bool = True) -> Iterator[bytes]:
        """Yield the content, after decompression.

        Raises:
            PageTooLargeError: at the first byte too many.
            ReadTimeout: at the first byte that comes too late.
        """
        size, end = 0, time.monotonic() + self._seconds
        # urllib3's own stream() waits until ``amount`` is there, however slowly it comes; read1() returns what came.
        while chunk := self._raw.read1(max(amount, AT_ONCE), decode_content=decode_content):
            size += len(chunk)
            if size > self._megabytes * MEGABYTE:
                self._raw.close()
                raise PageTooLargeError(
                    f"{self._host} sent a page of more than {self._megabytes} MB, which is not read any further: it "
                    "might not fit into memory. Lower page_size, or raise max_page_mb."
                )
            if time.monotonic() > end:
                self._raw.close()
                raise requests.exceptions.ReadTimeout(f"{self._host} sent a body for more than {self._seconds:g} s.")
            yield chunk


def bound(response: requests.Response, megabytes: int, timeout: float) -> None:
    """Bound a response whose body is not read yet; ``timeout`` is what the client waits for its next byte."""
    host = (response.url or "").split("/")[2:3]
    response.raw = BoundedBody(response.raw, host[0] if host else "The host", megabytes, TIMEOUTS * timeout)
