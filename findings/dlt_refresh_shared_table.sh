#!/usr/bin/env bash
# Show that a refresh of a dlt resource removes all rows of a shared table, or none.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: Three resources of a source append to the same table. For dlt, the table belongs to the resource that
#   filled it first. A run with refresh="drop_data" for that resource empties the whole table. A refresh of
#   another resource empties nothing, so its rows are then in the table twice.
# Expected: dlt replaces the rows of the selected resource, or refuses the run because the table is shared.
# Why it matters: Jobs of several data centers are in the same table. A refresh of one data center deletes the
#   history of all, or adds its jobs a second time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt, duckdb

@dlt.source(name="backup")
def backup():
    for location in ("au", "eu", "us"):
        yield dlt.resource([{"location": location}], name=f"jobs_{location}", table_name="jobs")

def refresh(location):
    file = f"{location}.duckdb"
    pipeline = dlt.pipeline(f"shared_{location}", destination=dlt.destinations.duckdb(file), dataset_name="d")
    pipeline.run(backup())
    pipeline.run(backup().with_resources(f"jobs_{location}"), refresh="drop_data")
    with duckdb.connect(file) as connection:
        rows = connection.execute("SELECT location FROM d.jobs ORDER BY 1").fetchall()
    return [row[0] for row in rows]

results = {location: refresh(location) for location in ("au", "eu", "us")}
for location, rows in results.items():
    print(f"after a refresh of jobs_{location}:", rows)
held = results == {"au": ["au"], "eu": ["au", "eu", "eu", "us"], "us": ["au", "eu", "us", "us"]}
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
