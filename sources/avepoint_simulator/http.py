"""Serve HTTP/1.1 over plain sockets, a thread per connection.

http.server spends longer on headers than on a page.
"""

from __future__ import annotations

import gzip
import os
import socket
import socketserver
import ssl
import struct
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from http.client import responses
from typing import Any

from avepoint_simulator.faults import Answer, encode

PIECES = 10
"""How many pieces a dripping body or head comes in."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Describe a received request; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    last: bool
    """Whether the connection ends after the response."""


class Server(socketserver.ThreadingTCPServer):
    """Listen on loopback and send the answers of ``respond``; closing it ends all connections."""

    daemon_threads = True
    request_queue_size = 128
    # On Windows this would let two servers share a port.
    allow_reuse_address = os.name != "nt"

    def __init__(
        self,
        port: int,
        respond: Callable[[HttpRequest], Answer],
        compress: Callable[[], bool],
        date: Callable[[], datetime | None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen on ``port``, or on any free one for 0.

        Args:
            port: the port on loopback.
            respond: returns the answer to a request.
            compress: returns whether answers are compressed for clients that accept it.
            date: returns the time of the Date header; None: no header.
            tls: speaks TLS; None: plain HTTP.
        """
        self.respond, self.compress, self.date, self._tls = respond, compress, date, tls
        self._open: set[socket.socket] = set()
        self._reset: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return a new connection. Its own thread shakes hands, so that a slow client does not delay the others."""
        request, address = super().get_request()
        if self._tls:
            request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a new connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection: in order, unless it is to be reset."""
        self._open.discard(request)
        if request in self._reset:
            self._reset.discard(request)
            # Closing alone then sends a reset, and does not wait until the client has what was sent.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset(self, request: socket.socket) -> None:
        """Let a connection end with a reset."""
        self._reset.add(request)

    def server_close(self) -> None:
        """Stop listening and end the connections that clients keep open."""
        super().server_close()
        for connection in list(self._open):
            # The client may have been faster.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        # A client may hang up at any moment, or refuse the certificate, which ends the connection and nothing else.
        with suppress(ConnectionError, ssl.SSLError):
            while request := self._read():
                if not self._send(request, self.server.respond(request)) or request.last:
                    return

    def _read(self) -> HttpRequest | None:
        words = self.rfile.readline(65_537).decode("latin-1").split()
        if len(words) != 3:
            return None
        headers: dict[str, str] = {}
        while line := self.rfile.readline(65_537).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        last = words[2] == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
        return HttpRequest(words[0], words[1], headers, body, last)

    def _send(self, request: HttpRequest, answer: Answer) -> bool:
        """Send an answer with a single write, unless it drips; return whether the connection stays open."""
        if answer.reset:
            self.server.reset(self.connection)
        if answer.drop and answer.keep is None:
            return False
        text = isinstance(answer.body, str)
        body = answer.body.encode() if text else b"" if answer.body is None else encode(answer.body)
        headers = {"Content-Type": "text/html" if text else "application/json", **answer.headers}
        if date := self.server.date():
            headers["Date"] = format_datetime(date, usegmt=True)
        if (answer.gzip or self.server.compress()) and "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        sent = body if answer.keep is None else body[: int(len(body) * answer.keep)]
        if answer.status != 204:
            headers["Content-Length"] = str(len(body if answer.drop else sent) + answer.off)
        headers["x-request-id"] = uuid.uuid4().hex
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}\r\n{lines}\r\n".encode("latin-1")
        head = head[: int(len(head) * answer.head)]
        if answer.drip or answer.drip_head:
            self._drip(head, answer.drip_head)
            self._drip(sent, answer.drip)
        else:
            self.connection.sendall(head + sent)
        return not answer.drop

    def _drip(self, content: bytes, seconds: float) -> None:
        step = len(content) // PIECES + 1 if seconds else max(len(content), 1)
        for at in range(0, len(content), step):
            time.sleep(seconds / PIECES)
            self.connection.sendall(content[at : at + step])
