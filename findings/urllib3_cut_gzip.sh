#!/usr/bin/env bash
# Show that requests returns half of a gzip body as if it were complete.
#
# Versions: requests 2.34.2, urllib3 2.8.0
# Behaviour: The server sends a gzip stream that ends in the middle, with the length of that part in Content-Length.
#   The client decompresses the part and returns the shorter text. It raises no error, and raise_for_status passes.
# Expected: An error, as the gzip module of Python raises EOFError for the same bytes.
# Why it matters: If a proxy cuts off a compressed export of jobs, the remaining rows look complete. A loader must
#   count rows or check the end of the document.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'requests==2.34.2' 'urllib3==2.8.0'
venv/bin/python - <<'PY'
import gzip, threading, zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
import requests

rows = "".join(f"{i},{zlib.crc32(str(i).encode())}\n" for i in range(4000)).encode()
packed = gzip.compress(rows)
cut = packed[: len(packed) // 2]

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(cut)))
        self.end_headers()
        self.wfile.write(cut)

    def log_message(self, *args):
        """Print nothing."""

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
response = requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10)
response.raise_for_status()
server.shutdown()
try:
    gzip.decompress(cut)
    strict = "accepted"
except EOFError as error:
    strict = f"EOFError: {error}"
print("status", response.status_code, "bytes received", len(response.content), "of", len(rows))
print("gzip module:", strict)
held = rows.startswith(response.content) and 0 < len(response.content) < len(rows) and strict.startswith("EOFError")
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
