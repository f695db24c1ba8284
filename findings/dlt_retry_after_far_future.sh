#!/usr/bin/env bash
# Show that the HTTP client of dlt fails on a Retry-After header that it cannot convert.
#
# Versions: dlt 1.31.0
# Behaviour: After a 503 with a Retry-After in the year 99999, the calculation of the wait raises ValueError. The client
#   does not repeat the request. If Retry-After is not a date, the client ignores it and repeats the request.
# Expected: The client ignores a header that it cannot convert.
# Why it matters: A single invalid header of a gateway ends a load that a repeated request would have saved. The error
#   is not an HTTP error, so callers do not expect it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt==1.31.0'
venv/bin/python - <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from dlt.sources.helpers.requests import Client

HEADERS = {"/words": "later", "/far": "Fri, 31 Dec 99999 23:59:59 GMT"}
asked = {path: 0 for path in HEADERS}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked[self.path] += 1
        first = asked[self.path] == 1
        self.send_response(503 if first else 200)
        if first:
            self.send_header("Retry-After", HEADERS[self.path])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Print nothing."""

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

def get(path):
    client = Client(request_backoff_factor=0.01)
    try:
        return client.get(f"http://127.0.0.1:{server.server_port}{path}").status_code
    except Exception as error:
        return type(error).__name__

words, far = get("/words"), get("/far")
server.shutdown()
print("Retry-After later:            ", words, asked["/words"], "requests")
print("Retry-After in the year 99999:", far, asked["/far"], "requests")
held = (words, asked["/words"], far, asked["/far"]) == (200, 2, "ValueError", 1)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
