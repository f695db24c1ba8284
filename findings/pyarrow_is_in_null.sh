#!/usr/bin/env bash
# Show that two forms of the same filter of pyarrow treat missing values differently.
#
# Versions: pyarrow 26.0.1
# Behaviour: field != "x" removes rows whose value is missing, as SQL does. ~field.isin(["x"]) keeps them,
#   because isin answers false for a missing value. A missing value in the list even matches.
# Expected: Both filters return the same rows, as x <> 'a' and x NOT IN ('a') do in SQL.
# Why it matters: A filter that excludes a job type keeps or loses all jobs without a type, which depends on its
#   form. A change from a single excluded type to a list changes the result.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'pyarrow==26.0.1' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb
import pyarrow as pa
import pyarrow.compute as pc

jobs = pa.table({"id": [1, 2, 3], "type": ["restore", "export", None]})

def ids(condition):
    return jobs.filter(condition)["id"].to_pylist()

def sql_ids(condition):
    return [row[0] for row in duckdb.execute(f"SELECT id FROM jobs WHERE {condition} ORDER BY id").fetchall()]

unequal, not_in = ids(pc.field("type") != "export"), ids(~pc.field("type").isin(["export"]))
listed = ids(pc.field("type").isin(pa.array(["export", None])))
sql = sql_ids("type <> 'export'"), sql_ids("type NOT IN ('export')"), sql_ids("type IN ('export', NULL)")
print("pyarrow: != gives", unequal, "and not isin gives", not_in, "and isin with null gives", listed)
print("SQL: <> gives", sql[0], "and NOT IN gives", sql[1], "and IN with NULL gives", sql[2])
held = (unequal, not_in, listed) == ([1], [1, 3], [2, 3]) and sql == ([1], [1], [2])
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
