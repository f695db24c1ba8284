"""Test the proxies that the environment names, over real HTTP."""

import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from avepoint_m365.api.auth import Secret
from avepoint_m365.api.client import JobsClient
from avepoint_m365.config import ServiceUrls
from avepoint_m365.exceptions import ApiError
from avepoint_simulator import Simulator, make_world

ANSWER = b'{"access_token": "t", "expires_in": 3600, "jobs": [], "totalNumber": 0, "nextLink": ""}'
NOWHERE = ServiceUrls("http://127.1:9", "http://127.1:9/token")
"""This machine under a name that the client does not recognise as loopback; no server listens there."""


class Proxy(ThreadingHTTPServer):
    """Answer requests for any host, and record which hosts were requested."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked = set[str]()


class Asked(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.asked.add(self.path.partition("?")[0])
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    server = Proxy()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_the_token_and_jobs_are_requested_through_the_proxy(proxy: Proxy) -> None:
    client = JobsClient(NOWHERE, Secret("client", uuid.uuid4().hex), "auto", 2)
    for _ in range(2):
        assert client.request_page({}).info.total == 0
    assert proxy.asked == {NOWHERE.token_url, NOWHERE.base_url + "/backup/m365/jobs"}


def test_a_host_in_no_proxy_is_requested_directly(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.1")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    client = JobsClient(NOWHERE, Secret("client", uuid.uuid4().hex), "auto", 2)
    with pytest.raises(ApiError, match="could not be reached"):
        client.request_page({})
    assert not proxy.asked


def test_loopback_is_requested_without_the_proxy(proxy: Proxy) -> None:
    """Test the demo's simulator, which receives a secret over plain HTTP."""
    with Simulator(make_world(3)) as simulator:
        addresses = ServiceUrls(simulator.base_url, simulator.token_url)
        client = JobsClient(addresses, Secret(simulator.client_id, simulator.client_secret), "auto", 2)
        assert len(client.request_page({}).info.ids) == 3
    assert not proxy.asked
