#!/usr/bin/env bash
# Show that two fields of a record silently become one column in dlt.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The fields jobId and job_id of one record both normalise to job_id. The later field replaces the
#   value of the earlier one. No error, no warning and no second column appear.
# Expected: An error or a second column, because a value of the source is lost.
# Why it matters: An API that adds job_id next to jobId for a new version changes the key of the table without
#   a trace.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import io, logging
import dlt, duckdb

pipeline = dlt.pipeline("names", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="d")
messages = io.StringIO()
handler = logging.StreamHandler(messages)
logging.getLogger("dlt").addHandler(handler)
pipeline.run([{"jobId": "first", "job_id": "second"}, {"job_id": "third", "jobId": "fourth"}], table_name="jobs")
with duckdb.connect("w.duckdb") as connection:
    result = connection.execute("SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM d.jobs ORDER BY job_id")
    columns, rows = [column[0] for column in result.description], result.fetchall()
print("columns:", columns, "rows:", rows)
print("messages:", messages.getvalue() or "none")
held = columns == ["job_id"] and rows == [("fourth",), ("second",)] and not messages.getvalue()
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
