#!/usr/bin/env bash
# Show that dlt cannot create an empty table whose merge strategy is upsert.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: A resource without rows yields dlt.mark.materialize_table_schema(). With the strategy delete-
#   insert an empty table appears. With upsert the run fails in normalize with a KeyError that names the key
#   column.
# Expected: dlt creates an empty table in both cases, because the mark only requests the table.
# Why it matters: A tenant without jobs should still get its tables. With upsert, which Delta tables need, the
#   first load of an idle tenant fails and leaves a pending package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt, duckdb

def load(strategy):
    @dlt.resource(name="jobs", primary_key="id", columns={"id": {"data_type": "bigint"}},
                  write_disposition={"disposition": "merge", "strategy": strategy})
    def jobs():
        """Yield no rows, only the mark."""
        yield dlt.mark.materialize_table_schema()

    name = strategy.replace("-", "_")
    pipeline = dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="d")
    try:
        pipeline.run(jobs())
    except Exception as error:
        step = getattr(error, "step", "")
        while error.__cause__ or error.__context__:
            error = error.__cause__ or error.__context__
        return f"{step}: {error!r}"
    with duckdb.connect(f"{name}.duckdb") as connection:
        return connection.execute("SELECT count(*) FROM d.jobs").fetchone()[0]

plain, upsert = load("delete-insert"), load("upsert")
print("delete-insert, rows:", plain)
print("upsert:", upsert)
held = plain == 0 and upsert.startswith("normalize: KeyError") and "'id'" in upsert
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
