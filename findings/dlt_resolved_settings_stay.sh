#!/usr/bin/env bash
# Show that dlt keeps each setting that a thread resolves until a pipeline run ends in that thread.
#
# Versions: dlt 1.31.0
# Behaviour: Each call of a function with @with_config, and each dlt.secrets[...], appends to a list of the thread, with
#   the value and the configuration object. A secret is stored as it is. Only the end of a pipeline run in the same
#   thread empties the list: a run in another thread does not.
# Expected: A value that was looked up again needs no further memory, and a log of settings holds no secret.
# Why it matters: A scheduler or a dashboard that resolves settings in its main thread, and runs pipelines in workers or
#   not at all, grows with each look: 20 KB for the settings of a source. A dump of its memory has each secret many times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
export SOURCES__SHOP__PASSWORD="made up" SOURCES__SHOP__PAGE_SIZE=50
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
from threading import Thread

import dlt
from dlt.common.configuration import with_config
from dlt.common.configuration.utils import get_resolved_traces


@with_config(sections=("sources", "shop"))
def connect(page_size: int = dlt.config.value, password: dlt.TSecretStrValue = dlt.secrets.value) -> int:
    return page_size


def run() -> None:
    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb("shop.duckdb"), dataset_name="data")
    pipeline.run([{"id": 1}], table_name="orders")


counts = []
for _ in range(3):
    for _ in range(100):
        assert connect() == 50
    counts.append(len(get_resolved_traces().all_traces))
secrets = sum(trace.value == "made up" for trace in get_resolved_traces().all_traces)
worker = Thread(target=run)
worker.start()
worker.join()
after_worker = len(get_resolved_traces().all_traces)
run()
after_run = len(get_resolved_traces().all_traces)
print("entries after 100, 200 and 300 calls:", counts)
print("entries with the secret in clear:", secrets)
print("entries after a run in another thread:", after_worker)
print("entries after a run in this thread:", after_run)
assert counts[1] - counts[0] == counts[2] - counts[1] == 200
assert secrets == 300
assert after_worker == counts[2]
assert after_run == 0
PY
