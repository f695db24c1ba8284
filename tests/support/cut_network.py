"""Simulate a network between a worker and its database that a test can cut; data is then lost without an error."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Network:
    """Connect clients to a port until the test cuts the network; after ``heal``, connect new clients."""

    def __init__(self, port: int) -> None:
        self._port, self._open, self._lock = port, True, threading.Lock()
        self._here: list[socket.socket] = []
        self._there: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop all data from now on. The database's connections end, as they do after a time; the worker waits."""
        with self._lock:
            self._open = False
            for row in self._there:
                _end(row)

    def heal(self) -> None:
        """Close the worker's old connections, and forward new ones."""
        with self._lock:
            self._open = True
            for row in self._here:
                _end(row)

    def close(self) -> None:
        self._listening.close()
        self.cut()
        self.heal()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                with self._lock:
                    self._here.append(here)
                    if not self._open:
                        continue
                    there = socket.create_connection(("127.0.0.1", self._port))
                    self._there.append(there)
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._open:
                    target.sendall(data)
        if self._open:
            _end(target)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def network(port: int) -> Iterator[Network]:
    """Yield a network to a port of this machine."""
    first = Network(port)
    try:
        yield first
    finally:
        first.close()
