#!/usr/bin/env bash
# Show that no thread of Python runs while DeltaTable.is_deltatable waits for its storage.
#
# Versions: deltalake 1.6.6
# Behaviour: The call keeps Python's global lock until the storage has answered. Another thread that works each
#   10 ms does not run during that time. With the default retries, that can be three minutes. The constructor
#   DeltaTable(...) lets other threads run.
# Expected: A call that waits for the network releases the lock, as the constructor does.
# Why it matters: Threads that renew a lease, answer a health check or serve a page stop during the call. A test
#   whose storage runs in a thread of the same process blocks itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'deltalake==1.6.6' 'pyarrow==26.0.1'
cat > storage.py <<'PY'
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(2)
        self.send_error(403)

    def log_message(self, *args):
        """Print nothing."""

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
venv/bin/python - <<'PY'
import subprocess, sys, threading, time
from deltalake import DeltaTable

storage = subprocess.Popen([sys.executable, "storage.py"], stdout=subprocess.PIPE, text=True)
options = {
    "aws_access_key_id": "id", "aws_secret_access_key": "key", "aws_region": "eu-central-1",
    "aws_endpoint_url": f"http://127.0.0.1:{storage.stdout.readline().strip()}", "aws_allow_http": "true",
}

def longest_stop(call):
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.wait(0.01):
            ticks.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    time.sleep(0.1)
    try:
        call()
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
    ended.set()
    ticking.join()
    ticks.append(time.monotonic())
    return max(later - earlier for earlier, later in zip(ticks, ticks[1:]))

try:
    checked = longest_stop(lambda: DeltaTable.is_deltatable("s3://lake/table", options))
    opened = longest_stop(lambda: DeltaTable("s3://lake/table", storage_options=options))
finally:
    storage.terminate()
print(f"others stood still for {checked:.1f} s in is_deltatable, {opened:.1f} s in DeltaTable")
raise SystemExit(0 if checked > 1.9 > opened else "The behaviour differs from the description.")
PY
