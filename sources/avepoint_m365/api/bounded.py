"""Bound size and time of a response; requests reads without end as long as a server sends a byte now and then."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from avepoint_m365.api.stats import CancelToken
from avepoint_m365.exceptions import PageTooLargeError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3._base_connection import BaseHTTPConnection
    from urllib3.connectionpool import ConnectionPool

MEGABYTE = 1_000_000

TIMEOUT_FACTOR = 5
"""The most time from a request to the last byte of its response, in multiples of the client's timeout for a byte."""

READ_SIZE = 65_536
"""The least number of bytes that one read of a body requests."""

LARGE_MEGABYTES = 16
"""Size from which a body is read while no other large one is. Eight bodies of 128 MB at once would need a gigabyte."""

_large_body = threading.Lock()


class TimedStream(io.RawIOBase):
    """Read from a connection, for a limited number of seconds after its creation."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw, self._end = raw, time.monotonic() + seconds

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Read the bytes that have arrived.

        Raises:
            TimeoutError: if the time is over; the socket raises the same if no byte arrives.
        """
        if time.monotonic() > self._end:
            raise TimeoutError("The response took too long.")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the stream and the connection's stream below it."""
        self._raw.close()
        super().close()


def timed_connection_class(
    connection: type[BaseHTTPConnection], seconds: float, cancelled: CancelToken
) -> type[BaseHTTPConnection]:
    """Return a class of connections whose responses take so many seconds at most, headers included.

    Connecting and responses end once the token is set. A timeout of the socket begins anew with each byte. A server
    could send one byte now and then, headers without end, or ``100 Continue`` without end.
    """

    class TimedResponse(HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            # TLS through a proxy with TLS is no socket, but has one.
            cancelled.end_when_set(getattr(sock, "socket", sock))
            self.fp = io.BufferedReader(TimedStream(self.fp.detach(), seconds))

    def connect(self: BaseHTTPConnection) -> None:
        cancelled.run(lambda: connection.connect(self))

    return type(f"Timed{connection.__name__}", (connection,), {"response_class": TimedResponse, "connect": connect})


class TimedAdapter(HTTPAdapter):
    """Send requests whose responses take so many seconds at most, and end once a token is set."""

    def __init__(self, connections: int, seconds: float, cancelled: CancelToken) -> None:
        super().__init__(pool_maxsize=connections)
        self._timed_class = cache(lambda connection: timed_connection_class(connection, seconds, cancelled))

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> ConnectionPool:
        """Return the pool of connections to a host, or to a proxy before it."""
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        assert isinstance(pool, urllib3.HTTPConnectionPool)
        # A pool is reused, so its class may be a timed one already; the cache returns one class for each.
        pool.ConnectionCls = self._timed_class(type(pool).ConnectionCls)
        return pool


class BoundedBody:
    """Read a body for requests, up to a number of megabytes."""

    def __init__(self, raw: urllib3.HTTPResponse, host: str, megabytes: int) -> None:
        """Keep ``raw``, the response of urllib3."""
        self._raw, self._host, self._megabytes = raw, host, megabytes

    def __getattr__(self, name: str) -> Any:
        """Return any attribute but the content from the response of urllib3."""
        return getattr(self._raw, name)

    def stream(self, amount: int, decode_content: bool = True) -> Iterator[bytes]:
        """Yield the content, after decompression; of all large bodies of this process, one is read at a time.

        Raises:
            PageTooLargeError: once the body exceeds its bound.
        """
        size = 0
        with ExitStack() as alone:
            # urllib3's own stream() waits for ``amount`` bytes; read1() returns those that have arrived.
            while chunk := self._raw.read1(max(amount, READ_SIZE), decode_content=decode_content):
                if size <= LARGE_MEGABYTES * MEGABYTE < size + len(chunk):
                    alone.enter_context(_large_body)
                size += len(chunk)
                if size > self._megabytes * MEGABYTE:
                    self._raw.close()
                    raise self._too_large()
                yield chunk

    def _too_large(self) -> PageTooLargeError:
        return PageTooLargeError(
            f"Page too large: {self._host} sent a page of more than {self._megabytes} MB, which might not fit into "
            "memory. Lower page_size, or raise max_page_mb."
        )


def bound(response: requests.Response, megabytes: int) -> None:
    """Bound the size of a response whose body is not read yet."""
    host = (response.url or "").split("/")[2:3]
    response.raw = BoundedBody(response.raw, host[0] if host else "The host", megabytes)
