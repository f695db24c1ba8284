#!/usr/bin/env bash
# Show that the json_link paginator of dlt requests an empty link.
#
# Versions: dlt 1.31.0
# Behaviour: If the last page has nextLink "", JSONLinkPaginator requests the address "". The read fails with
#   MissingSchema after all pages were delivered. If the last page has nextLink null, the read ends without an error.
# Expected: An empty text and null both mean that there is no further page.
# Why it matters: APIs of the OData family write nextLink "" on the last page. A generic REST source then
#   fails at the end of each load.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt==1.31.0'
venv/bin/python - <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        link = "" if self.path == "/empty" else None
        body = json.dumps({"value": [{"id": 1}], "nextLink": link}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Print nothing."""

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

def read(path):
    client = RESTClient(f"http://127.0.0.1:{server.server_port}", data_selector="value")
    pages = []
    try:
        for page in client.paginate(path, paginator=JSONLinkPaginator("nextLink")):
            pages.append(list(page))
        return pages, "end"
    except Exception as error:
        return pages, type(error).__name__

null, empty = read("/null"), read("/empty")
server.shutdown()
print("nextLink null: ", null)
print('nextLink "":   ', empty)
held = null == ([[{"id": 1}]], "end") and empty == ([[{"id": 1}]], "MissingSchema")
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
