"""Connect sockets with others. Run as a program, it listens in its network namespace."""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress


def forward(listening: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Connect each client with a socket of its own in threads, until the listening socket is shut down."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                here, _ = listening.accept()
                try:
                    there = connect()
                except OSError:
                    here.close()
                    continue
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until one side ends; then end both, as the exit of a process does."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (target, source):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def unix_connection(path: str) -> socket.socket:
    """Return a connection to a Unix socket; all network namespaces share its file."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def main() -> None:
    """Connect clients with Unix sockets until the input ends; each of its lines has an address, a port and a path."""
    print("here", flush=True)
    for line in sys.stdin:
        address, port, path = line.split()
        forward(socket.create_server((address, int(port))), lambda path=path: unix_connection(path))  # type: ignore[misc]
        print("forwarding", flush=True)


if __name__ == "__main__":
    main()
