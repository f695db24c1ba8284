#!/usr/bin/env bash
# Show that a dlt source that runs in a second pipeline still has the tables of the first pipeline in its schema.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: The same source object runs in two pipelines with different destinations. In the second run, the resource
#   reads the existing tables from dlt.current.source_schema(). It gets the table of the first run, although the second
#   pipeline has no schema yet, and its destination has no table.
# Expected: During a run, the current schema describes the pipeline that runs. A resource could then skip tables that
#   exist. With the present behaviour, such a resource creates nothing in the second destination.
# Why it matters: A load that yields an empty table only once, to create it, must read the stored schemas of the
#   pipeline instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt

seen = []


@dlt.source(name="jobs_api")
def jobs_api():
    @dlt.resource(name="jobs")
    def jobs():
        pipeline = dlt.current.pipeline()
        seen.append(("jobs" in dlt.current.source_schema().tables, list(pipeline.schema_names)))
        yield {"id": 1}

    return jobs


source = jobs_api()
for name in ("first", "second"):
    pipeline = dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="jobs_api")
    pipeline.run(source)
    print(name, "run: table in the current schema:", seen[-1][0], "- schemas of the pipeline:", seen[-1][1])
raise SystemExit(0 if seen == [(False, []), (True, [])] else "The behaviour differs from the description.")
PY
