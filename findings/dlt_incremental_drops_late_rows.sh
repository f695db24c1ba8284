#!/usr/bin/env bash
# Show that dlt.sources.incremental removes rows that the API delivered late.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The second run requests a window that begins two days before the cursor, and receives a late row.
#   incremental removes each row that is older than the newest row of the run before. The late row never reaches
#   the table, and dlt logs nothing.
# Expected: dlt loads all rows of the window that the resource requested, because the merge makes repeated rows
#   harmless.
# Why it matters: A long backup job appears in the API after shorter jobs that finished later. The long job stays
#   missing, unless the user sets the lag option or the source stores its own cursor.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt, duckdb

pipeline = dlt.pipeline("late", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="d")

def load(rows):
    @dlt.resource(name="jobs", primary_key="id", write_disposition="merge")
    def jobs(finish=dlt.sources.incremental("finish", initial_value="2026-01-01T00:00:00Z")):
        """Yield the rows of a window that starts two days before the cursor."""
        yield rows

    pipeline.run(jobs())

load([{"id": 1, "finish": "2026-01-10T00:00:00Z"}])
late = {"id": 2, "finish": "2026-01-09T00:00:00Z"}
load([late, {"id": 3, "finish": "2026-01-11T00:00:00Z"}])
with duckdb.connect("w.duckdb") as connection:
    ids = [row[0] for row in connection.execute("SELECT id FROM d.jobs ORDER BY id").fetchall()]
print("delivered 1, 2, 3; in the table:", ids)
raise SystemExit(0 if ids == [1, 3] else "The behaviour differs from the description.")
PY
