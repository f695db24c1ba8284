#!/usr/bin/env bash
# Show that asking dlt whether a DuckDB dataset exists creates the database file.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: is_storage_initialized() answers False for a file that does not exist, and leaves a new database of 12 KiB
#   behind. The same holds for entering a SQL client of the pipeline, before any statement. The file has the newest
#   storage format of the installed DuckDB.
# Expected: A question changes nothing: without a file the answer is False.
# Why it matters: A check of the configuration before the first load leaves a file. It has the newest format, whatever
#   the program wanted to create, so an older DuckDB in a BI tool cannot open it. A typo in a path goes unnoticed: each
#   later look at the directory finds a valid database without tables.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
from pathlib import Path

import dlt


def pipeline(name):
    return dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="data")


with pipeline("asked").destination_client() as client:
    answer = client.is_storage_initialized()
with pipeline("entered").sql_client():
    pass
sizes = {path.name: path.stat().st_size for path in sorted(Path().glob("*.duckdb"))}
print("is_storage_initialized:", answer)
print("files afterwards:", sizes)
assert answer is False
assert sizes.keys() == {"asked.duckdb", "entered.duckdb"}
assert all(sizes.values())
PY
