"""Run reverse proxies under a path: nginx, and a server that behaves like ``proxy_pass`` of nginx with its defaults."""

import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or "nginx"


@contextmanager
def reverse_proxy(address: str, path: str = "/backup/", port: int = 0) -> Iterator[str]:
    """Serve ``address`` under a path, and yield the address of that path.

    The proxy behaves as nginx does by default. It sends HTTP/1.0, ``Connection: close``, and the server's host and port
    as ``Host``. It forwards no WebSocket, and removes the path.
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


@contextmanager
def nginx(address: str, folder: Path, location: str) -> Iterator[str]:
    """Serve ``address`` with a real nginx, its defaults and a ``location`` block, and yield the address of that.

    ``location`` is a block of the documentation; its port is replaced by the port of ``address``.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    block = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{urlsplit(address).port}", location)
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder / 'pid'}; events {{}}\n"
        f"http {{ {temporary} access_log off; server {{ listen 127.0.0.1:{port}; {block} }} }}\n",
        encoding="utf-8",
    )
    log = folder / "error.log"
    process = subprocess.Popen([NGINX, "-p", str(folder), "-e", str(log), "-c", str(configuration)])
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        (path,) = re.findall(r"location (\S+)", block)
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        process.wait(30)
