#!/usr/bin/env bash
# Show that DuckDB creates a schema that it cannot address afterwards.
#
# Versions: duckdb 2.0.1
# Behaviour: In the file jobs.duckdb, CREATE SCHEMA jobs succeeds. Each statement with jobs.runs then fails as
#   ambiguous, because jobs is also the name of the catalog. The three-part name jobs.jobs.runs works.
# Expected: DuckDB refuses CREATE SCHEMA, or a two-part name refers to the schema and not to the catalog.
# Why it matters: Users often give a warehouse file the name of its dataset. The schema is created, but each view
#   and report with two-part names then fails.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb

def run(connection, statement):
    try:
        return connection.execute(statement).fetchall()
    except duckdb.Error as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"

results = {}
for name in ("jobs", "warehouse"):
    with duckdb.connect(f"{name}.duckdb") as connection:
        created = run(connection, "CREATE SCHEMA jobs")
        run(connection, f"CREATE TABLE {name}.jobs.runs AS SELECT 1 AS id")
        results[name] = [created, run(connection, "FROM jobs.runs"), run(connection, f"FROM {name}.jobs.runs")]
        print(f"{name}.duckdb:", results[name])
ambiguous = str(results["jobs"][1])
held = (
    results["warehouse"] == [[], [(1,)], [(1,)]]
    and results["jobs"][0] == [] and results["jobs"][2] == [(1,)]
    and ambiguous.startswith("BinderException") and "Ambiguous reference" in ambiguous
)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
