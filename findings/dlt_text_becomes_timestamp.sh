#!/usr/bin/env bash
# Show that the first value decides in dlt that a text field is a time.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The first name looks like an ISO time, so the column name becomes a timestamp. Later names go to
#   a new column name__v_text. Names that look like a date still go to the first one.
# Expected: A field that is text in JSON stays text, or the column widens to text.
# Why it matters: Backup policies are often named after a day. Without a declared type, the names of one
#   column are spread over two.
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
