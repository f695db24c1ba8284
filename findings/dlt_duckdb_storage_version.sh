#!/usr/bin/env bash
# Show that dlt's global_config cannot set the storage version of a DuckDB file, and nothing reports that.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: dlt runs SET GLOBAL after DuckDB has created the file. DuckDB accepts storage_compatibility_version, and
#   current_setting returns the new value. The file stays in the newest format, although it holds no table yet. So it is
#   after a checkpoint. Only files that are attached later have the version of the setting.
# Expected: The first tables are written in the version of the setting, or DuckDB refuses a setting without effect.
# Why it matters: An older DuckDB in a BI tool cannot open a file in the newest format. The configuration looks right,
#   and so does the answer of current_setting. The version has to be an option of the connection that creates the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt
import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

KEY, VERSION = "storage_compatibility_version", "v1.4.0"


def stored(connection, name):
    """Return the storage version of an open database."""
    query = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = ?"
    return connection.execute(query, [name]).fetchone()[0]


credentials = DuckDbCredentials("by_dlt.duckdb")
credentials.global_config = {KEY: VERSION}
pipeline = dlt.pipeline("history", destination=dlt.destinations.duckdb(credentials), dataset_name="jobs")
pipeline.run([{"id": 1}], table_name="jobs")
with pipeline.sql_client() as client:
    setting = client.execute_sql(f"SELECT current_setting('{KEY}')")[0][0]
with duckdb.connect("by_dlt.duckdb") as connection:
    by_dlt = stored(connection, "by_dlt")

with duckdb.connect("by_set.duckdb") as connection:
    connection.execute(f"SET GLOBAL {KEY} = '{VERSION}'")
    connection.execute("CREATE TABLE jobs AS SELECT 1 AS id")
    connection.execute("CHECKPOINT")
    connection.execute("ATTACH 'attached.duckdb' AS attached")
    by_set, attached = stored(connection, "by_set"), stored(connection, "attached")

with duckdb.connect("by_option.duckdb", config={KEY: VERSION}) as connection:
    by_option = stored(connection, "by_option")

print(f"global_config of dlt: the setting is {setting}, the file is {by_dlt}")
print(f"SET GLOBAL:           the file is {by_set}, one attached later is {attached}")
print(f"option of connect:    the file is {by_option}")
newest = by_dlt == by_set and not by_dlt.startswith(VERSION)
holds = setting == VERSION and newest and attached == by_option == f"{VERSION}+"
raise SystemExit(0 if holds else "The behaviour differs from the description.")
PY
