"""Test that the client stops reading a response without an end, or one whose bytes arrive too slowly."""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from avepoint_m365.api.auth import Bearer, Secret
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.api.transport import Transport
from avepoint_m365.config import ServiceUrls
from avepoint_m365.exceptions import InterruptedLoadError, UnreachableError
from avepoint_simulator import FAULTS, Answer, Simulator, make_world


class Clock:
    """Control the clock that limits how long a response is read: each call lets ``step`` seconds pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step: Callable[[], float] = lambda: 0.0

    def monotonic(self) -> float:
        self.now += self.step()
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("avepoint_m365.api.bounded.time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    return clock


@pytest.mark.parametrize(
    "fault", [replace(FAULTS["drip"], drip=0.05), replace(FAULTS["drip"], drip_head=0.05, drip=0.05)]
)
def test_a_slow_response_is_abandoned_and_retried(clock: Clock, fault: Answer) -> None:
    with Simulator(make_world(300)) as simulator:
        urls = ServiceUrls(simulator.base_url, simulator.token_url)
        jobs = JobsClient(urls, Secret(simulator.client_id, simulator.client_secret), "jobs", 1)
        jobs.authenticate()
        clock.step = lambda: 100.0 if len(simulator.asked) < 3 else 0.0
        simulator.fault = lambda asked: fault if asked.number < 3 else None
        answer = jobs.request_page({"pageSize": "300"})
        assert (len(answer.info.ids), answer.attempts) == (len(simulator.world.visible()), 3)
    assert len(simulator.asked) == 3


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WITHOUT_END = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a status line": (b"", b"HTTP/1.1 200 OK "),
    "a header": (HEAD, b"X"),
    "headers": (HEAD, b"X: y\r\n"),
    "a chunk's size": (CHUNKED, b"0"),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n"),
}


@contextmanager
def endless(start: bytes, again: bytes) -> Iterator[str]:
    """Serve a response that never ends, as fast as the client reads it."""

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                self.request.recv(65_536)
                self.request.sendall(start)
                while True:
                    self.request.sendall(again * 100)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("part", WITHOUT_END)
def test_an_endless_response_is_abandoned(clock: Clock, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    clock.step = lambda: 10.0
    with endless(*WITHOUT_END[part]) as url, pytest.raises(UnreachableError):
        Transport(url, 1, RequestStats()).get(url, {}, Bearer("token"))


def test_a_response_of_a_proxy_is_bounded_as_well(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    clock.step = lambda: 10.0
    with endless(*WITHOUT_END["interim answers"]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        for url in ("https://api.example/", "http://api.example/"):
            with pytest.raises(UnreachableError):
                Transport(url, 1, RequestStats()).get(url, {}, Bearer("token"))


def test_a_cancel_ends_the_wait_for_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    stats, waiting = RequestStats(), threading.Event()
    monkeypatch.setattr(stats, "record_wait", lambda wait: waiting.set())
    with Simulator(make_world(10)) as simulator, ThreadPoolExecutor() as threads:
        simulator.gateway = lambda asked: Answer(503, headers={"Retry-After": "300"})
        transport = Transport(simulator.base_url, 1, stats)
        response = threads.submit(transport.get, simulator.base_url + "/backup/m365/jobs", {}, Bearer("token"))
        assert waiting.wait(30)
        stats.interrupted.set()
        assert isinstance(response.exception(30), InterruptedLoadError)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems accept more connections than a program does")
def test_a_cancel_ends_a_connection_that_no_server_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    stats, connecting, connect = RequestStats(), threading.Event(), urllib3.util.connection.create_connection

    def create_connection(*arguments: Any, **more: Any) -> socket.socket:
        connecting.set()
        return connect(*arguments, **more)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", create_connection)
    with ExitStack() as sockets:
        address = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0)).getsockname()
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        assert_a_cancel_ends(stats, f"http://127.0.0.1:{address[1]}", connecting.wait)


def test_a_cancel_ends_a_handshake_without_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as accepted:
        server.settimeout(30)
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        assert_a_cancel_ends(RequestStats(), url, lambda _: accepted.enter_context(server.accept()[0]) is not None)


def assert_a_cancel_ends(stats: RequestStats, url: str, wait: Callable[[float], bool]) -> None:
    """Send a request, cancel it after ``wait``, and assert that it ends well before its timeout of a minute."""
    with ThreadPoolExecutor() as threads:
        response = threads.submit(Transport(url, 1, stats).get, url + "/backup/m365/jobs", {}, Bearer("token"))
        assert wait(30)
        stats.interrupted.set()
        assert isinstance(response.exception(30), InterruptedLoadError)
