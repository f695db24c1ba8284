#!/usr/bin/env bash
# Show that the version hash of a dlt schema changes with the file format of a load.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: dlt keeps the format of the staged files in the stored schema, whether a resource or a run chooses it. The
#   same rows in another format give a schema with another version hash, and a further row in _dlt_version. Tables,
#   columns and types of the warehouse are the same.
# Expected: The hash covers what the warehouse looks like. The format of temporary files is an option of a single load.
# Why it matters: Programs compare the hash with _dlt_version to learn whether a load would change tables. Here it chose
#   between a shared and an exclusive lock. Loads of tenants whose rows travel in other formats waited for each other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb,parquet]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt
import duckdb


def run(resource_format=None, run_format=None):
    """Load one row, and return the hash of the schema and the number of its stored versions."""
    rows = dlt.resource([{"id": 1}], name="jobs", write_disposition="append", file_format=resource_format)
    pipeline = dlt.pipeline("history", destination=dlt.destinations.duckdb("warehouse.duckdb"), dataset_name="jobs")
    pipeline.run(rows, loader_file_format=run_format)
    with duckdb.connect("warehouse.duckdb") as warehouse:
        ((versions,),) = warehouse.execute("SELECT count(*) FROM jobs._dlt_version").fetchall()
        columns = warehouse.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL"
        ).fetchall()
    return pipeline.default_schema.version_hash, versions, columns


results = {
    "resource: insert_values": run("insert_values"),
    "resource: insert_values again": run("insert_values"),
    "resource: parquet": run("parquet"),
    "run: parquet": run(None, "parquet"),
    "run: insert_values": run(None, "insert_values"),
}
for name, (version, count, columns) in results.items():
    print(f"{name:30} hash {version[:8]}, {count} stored versions, {len(columns)} columns")
hashes = [version for version, _, _ in results.values()]
same_columns = all(columns == results["run: parquet"][2] for _, _, columns in results.values())
holds = same_columns and hashes[0] == hashes[1] == hashes[4] != hashes[2] == hashes[3]
raise SystemExit(0 if holds else "The behaviour differs from the description.")
PY
