"""dlt's telemetry is off unless the user asks for it."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from avepoint_simulator import Simulator

from .conftest import Desk


@pytest.fixture
def tracker() -> Iterator[tuple[str, list[str]]]:
    """Where dlt is told to send its telemetry, and what came."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_sent_unless_the_user_asks_for_it(
    simulator: Simulator, desk: Callable[[Simulator], Desk], tracker: tuple[str, list[str]]
) -> None:
    user, (address, came) = desk(simulator), tracker
    user.environment["RUNTIME__DLTHUB_TELEMETRY_ENDPOINT"] = address
    user.run("load")
    assert came == []
    (user.folder / ".dlt").mkdir()
    (user.folder / ".dlt" / "config.toml").write_text("[runtime]\ndlthub_telemetry = true\n")
    user.run("load")
    assert came
