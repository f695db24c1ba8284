"""Bound the size of a response, since requests reads everything that a server sends into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from avepoint_m365.exceptions import PageTooLargeError

MEGABYTE = 1_000_000


class BoundedBody:
    """Read a body on behalf of requests, and stop where it grows larger than allowed."""

    def __init__(self, raw: Any, host: str, megabytes: int) -> None:
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
        for chunk in self._raw.stream(amount, decode_content=decode_content):
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
