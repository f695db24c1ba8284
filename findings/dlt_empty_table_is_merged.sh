#!/usr/bin/env bash
# Show that dlt merges an Arrow table without rows: it creates a staging table and runs all statements of a merge.
#
# Versions: dlt 1.31.0, duckdb 2.0.1, pyarrow 26.0.1
# Behaviour: A resource with write_disposition="merge" yields an Arrow table without rows. The load package then has two
#   jobs for it: a Parquet file without rows for the staging dataset, and a SQL job with DELETE and INSERT. dlt runs
#   both, and the staging dataset contains the table afterwards. A resource with an empty list has no job.
# Expected: A table without rows changes no data, so dlt needs to create the table at most.
# Why it matters: Sources often yield an Arrow table for each table of the warehouse, empty or not. An empty table costs
#   as much as a table with ten rows. In a load of few changes, half of the tables were empty.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1' 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import dlt, pyarrow as pa

empty = pa.schema([("id", pa.int64()), ("state", pa.string())]).empty_table()


def resource(name, items):
    return dlt.resource(items, name=name, write_disposition="merge", primary_key="id")


pipeline = dlt.pipeline("empty", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="jobs_api")
full = pa.table({"id": [1], "state": ["Finished"]})
pipeline.run([resource("arrow", [full]), resource("list", [{"id": 1, "state": "Finished"}])])
info = pipeline.run([resource("arrow", [empty]), resource("list", [])])
jobs = sorted(
    (job.job_file_info.table_name, job.job_file_info.file_format)
    for package in info.load_packages
    for job in package.jobs["completed_jobs"]
    if not job.job_file_info.table_name.startswith("_dlt")
)
with pipeline.sql_client() as client:
    rows = client.execute_sql("SELECT count(*) FROM arrow")[0][0]
print("jobs of a load without rows:", jobs)
print("rows of the table afterwards:", rows)
raise SystemExit(
    0 if jobs == [("arrow", "parquet"), ("arrow", "sql")] and rows == 1 else "The behaviour differs from the description."
)
PY
