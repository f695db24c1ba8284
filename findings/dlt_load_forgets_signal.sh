#!/usr/bin/env bash
# Show that dlt forgets a SIGINT or SIGTERM that arrives while a load ends well.
#
# Versions: dlt 1.31.0
# Behaviour: While Pipeline.run() or load() works, dlt replaces the handlers of SIGINT and SIGTERM and records the first
#   signal. If the step then ends well, the record is cleared. No KeyboardInterrupt and no SignalReceivedException is
#   raised, and the handler of the program is not called. With RUNTIME__INTERCEPT_SIGNALS=false it is called at once.
# Expected: At the latest when the step ends, the signal is raised, or reaches the handler that was there before.
# Why it matters: A script that loads several tenants one after the other continues with the next one after Ctrl+C. A
#   container that gets SIGTERM loads on until it is killed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq 'dlt==1.31.0'
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL
cat > loads.py <<'PYTHON'
import os
import signal

import dlt


@dlt.destination(batch_size=10)
def receiver(items, table):
    os.kill(os.getpid(), signal.SIGTERM)


called = []
signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
for name in ("first", "second"):
    dlt.pipeline(name, destination=receiver).run([{"id": 1}], table_name="rows")
    print("loaded", name)
print("handler called", len(called), "times")
PYTHON
echo "dlt's default:"
"$folder/venv/bin/python" loads.py | tee default.txt
echo "RUNTIME__INTERCEPT_SIGNALS=false:"
RUNTIME__INTERCEPT_SIGNALS=false "$folder/venv/bin/python" loads.py | tee off.txt
grep -q "handler called 0 times" default.txt
grep -q "handler called 2 times" off.txt
