"""Bound size and time of a response: requests reads what a server sends for as long as a byte comes now and then."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import cache
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from avepoint_m365.exceptions import PageTooLargeError

MEGABYTE = 1_000_000

TIMEOUTS = 5
"""A response may take so many times what the client waits for its next byte, from the request to its last byte."""

AT_ONCE = 65_536
"""Bytes that are read at once at most."""


class TimedStream(io.RawIOBase):
    """Read from a connection until a response took too long."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw, self._end = raw, time.monotonic() + seconds

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come.

        Raises:
            TimeoutError: if that is too late, as the socket does if nothing comes.
        """
        if time.monotonic() > self._end:
            raise TimeoutError("The response took too long.")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the connection's side as well."""
        self._raw.close()
        super().close()


@cache
def timed(connection: Any, seconds: float) -> Any:
    """Return a class of connections whose responses take so many seconds at most, headers included.

    A timeout of the socket begins anew with each byte. A server could send one now and then, headers without end,
    or ``100 Continue`` for ever.
    """

    class TimedResponse(HTTPResponse):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.fp = io.BufferedReader(TimedStream(self.fp.detach(), seconds))

    return type(f"Timed{connection.__name__}", (connection,), {"response_class": TimedResponse})


class TimedAdapter(HTTPAdapter):
    """Send requests whose responses take so many seconds at most."""

    def __init__(self, connections: int, seconds: float) -> None:
        super().__init__(pool_maxsize=connections)
        self._seconds = seconds

    def get_connection_with_tls_context(self, *given: Any, **more: Any) -> Any:
        """Return the pool of connections to a host, or to a proxy before it."""
        pool: Any = super().get_connection_with_tls_context(*given, **more)
        # The pool is shared, and may be timed already.
        pool.ConnectionCls = timed(type(pool).ConnectionCls, self._seconds)
        return pool


class BoundedBody:
    """Read a body on behalf of requests, and stop where it grows larger than allowed."""

    def __init__(self, raw: urllib3.HTTPResponse, host: str, megabytes: int) -> None:
        """Keep ``raw``, the body as urllib3 gives it."""
        self._raw, self._host, self._megabytes = raw, host, megabytes

    def __getattr__(self, name: str) -> Any:
        """Return everything but the content from urllib3's own object."""
        return getattr(self._raw, name)

    def stream(self, amount: int, decode_content: bool = True) -> Iterator[bytes]:
        """Yield the content, after decompression.

        Raises:
            PageTooLargeError: at the first byte too many.
        """
        size = 0
        # urllib3's own stream() waits until ``amount`` is there; read1() returns what came.
        while chunk := self._raw.read1(max(amount, AT_ONCE), decode_content=decode_content):
            size += len(chunk)
            if size > self._megabytes * MEGABYTE:
                self._raw.close()
                raise PageTooLargeError(
                    f"{self._host} sent a page of more than {self._megabytes} MB, which is not read any further: it "
                    "might not fit into memory. Lower page_size, or raise max_page_mb."
                )
            yield chunk


def bound(response: requests.Response, megabytes: int) -> None:
    """Bound the size of a response whose body is not read yet."""
    host = (response.url or "").split("/")[2:3]
    response.raw = BoundedBody(response.raw, host[0] if host else "The host", megabytes)
