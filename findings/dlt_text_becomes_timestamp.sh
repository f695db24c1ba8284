#!/usr/bin/env bash
# Show that dlt makes a text field a time if its first value looks like a time.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The first value of the field "name" looks like an ISO time, so its column becomes a timestamp. dlt
#   stores later names in a new column name__v_text, except names that look like a date.
# Expected: A field that is text in JSON stays text, or dlt changes the type of the column to text.
# Why it matters: Users often name backup policies after a day. Without a declared type, the names are then in two
#   columns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt, duckdb

pipeline = dlt.pipeline("policies", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="d")
pipeline.run([{"id": 1, "name": "2026-01-01T00:00:00Z"}], table_name="policies")
pipeline.run([{"id": 2, "name": "Nightly"}, {"id": 3, "name": "2026-02-01"}], table_name="policies")
with duckdb.connect("w.duckdb") as connection:
    connection.execute("SET TimeZone = 'UTC'")
    rows = connection.execute("SELECT id, name::VARCHAR, name__v_text FROM d.policies ORDER BY id").fetchall()
for row in rows:
    print(row)
expected = [(1, "2026-01-01 00:00:00+00", None), (2, None, "Nightly"), (3, "2026-02-01 00:00:00+00", None)]
raise SystemExit(0 if rows == expected else "The behaviour differs from the description.")
PY
