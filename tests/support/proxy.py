"""A reverse proxy that does what nginx does with ``proxy_pass`` and its defaults, under a path."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def reverse_proxy(address: str, path: str = "/backup/", port: int = 0) -> Iterator[str]:
    """Serves ``address`` under a path; the address of that.

    As nginx does by default: HTTP/1.0 and ``Connection: close`` towards the server, its host and port as ``Host``, no
    WebSocket, and the path cut off.
    """
    target = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404)
                return
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
            try:
                connection.connect()
            except OSError:
                self.send_error(502)
                return
            hop = ("host", "connection", "upgrade", "keep-alive")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
            connection.request("GET", "/" + self.path.removeprefix(path), headers={**headers, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
