#!/usr/bin/env bash
# Show that DuckDB creates a schema that it cannot address afterwards.
#
# Versions: duckdb 2.0.1
# Behaviour: In the file jobs.duckdb CREATE SCHEMA jobs succeeds. Every statement with jobs.runs then fails as
#   ambiguous, because jobs is the catalog as well. The three-part name jobs.jobs.runs works.
# Expected: CREATE SCHEMA is refused, or a schema wins over a catalog in a two-part name.
# Why it matters: A warehouse file is named after its dataset by habit. Each view and report with two-part
#   names then fails, after the schema was created.
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
