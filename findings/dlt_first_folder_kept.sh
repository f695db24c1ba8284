#!/usr/bin/env bash
# Show that a relative DuckDB path of dlt belongs to the folder of the first run.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The state of a pipeline keeps the working folder of its first run. The same script in another
#   folder writes to the file in the first folder. The second folder stays empty.
# Expected: A relative path starts at the working folder of the process, as in Python and in duckdb.connect.
# Why it matters: Two customers have a folder each and use the same script. Both load into the same warehouse file,
#   unless each has its own pipeline name or pipelines_dir.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
cat >load.py <<'PY'
import os
import dlt

pipeline = dlt.pipeline("jobs", destination=dlt.destinations.duckdb("jobs.duckdb"), dataset_name="d")
pipeline.run([{"folder": os.path.basename(os.getcwd())}], table_name="runs")
PY
mkdir one two
(cd one && ../venv/bin/python ../load.py)
(cd two && ../venv/bin/python ../load.py)
venv/bin/python - <<'PY'
import os
import duckdb

files = {folder: sorted(os.listdir(folder)) for folder in ("one", "two")}
with duckdb.connect("one/jobs.duckdb") as connection:
    rows = [row[0] for row in connection.execute("SELECT folder FROM d.runs ORDER BY folder").fetchall()]
print("files:", files)
print("rows in one/jobs.duckdb:", rows)
held = files == {"one": ["jobs.duckdb"], "two": []} and rows == ["one", "two"]
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
