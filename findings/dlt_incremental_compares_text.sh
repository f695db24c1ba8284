#!/usr/bin/env bash
# Show that dlt.sources.incremental orders times as text, although it loads them as times.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: A cursor from JSON is text, so incremental compares characters. 10:00:00.500Z counts as older
#   than 10:00:00Z, because a point sorts before Z. 09:30-02:00, which is 11:30 in UTC, counts as older as
#   well. Both rows are dropped.
# Expected: incremental compares times as times, because dlt detects the column as a timestamp and stores it as such.
# Why it matters: If an API omits zero fractions of a second, or sends offsets, new jobs at the border of two loads
#   are lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt, duckdb

pipeline = dlt.pipeline("text", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="d")

@dlt.resource(name="jobs", write_disposition="append")
def jobs(rows, finish=dlt.sources.incremental("finish")):
    """Yield the rows given."""
    yield rows

pipeline.run(jobs([{"id": 1, "finish": "2026-01-01T10:00:00Z"}]))
pipeline.run(jobs([{"id": 2, "finish": "2026-01-01T10:00:00.500Z"}]))
pipeline.run(jobs([{"id": 3, "finish": "2026-01-01T09:30:00-02:00"}]))
pipeline.run(jobs([{"id": 4, "finish": "2026-01-01T10:00:01Z"}]))
kind = pipeline.default_schema.tables["jobs"]["columns"]["finish"]["data_type"]
with duckdb.connect("w.duckdb") as connection:
    ids = [row[0] for row in connection.execute("SELECT id FROM d.jobs ORDER BY id").fetchall()]
print("type of the column:", kind)
print("each of 1, 2, 3, 4 is newer than the one before or than 1; in the table:", ids)
raise SystemExit(0 if (kind, ids) == ("timestamp", [1, 4]) else "The behaviour differs from the description.")
PY
