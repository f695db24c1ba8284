#!/usr/bin/env bash
# Show that sqlglot changes the base of a logarithm when it translates a query of DuckDB for other warehouses.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: log(x) of DuckDB is the logarithm to the base 10. For Snowflake it becomes LN(x), the natural logarithm.
#   For BigQuery, Databricks and T-SQL it stays LOG(x), which is the natural logarithm there. LOG(x) for PostgreSQL is
#   correct.
# Expected: LOG(10, x) for Snowflake and Databricks, and LOG10(x) for BigQuery and T-SQL.
# Why it matters: Values on a logarithmic scale, such as the gigabytes of backups, are 2.3 times as high on these
#   warehouses, and no query fails. sqlglot translates log10(x) with its base.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb, sqlglot

texts = {
    target: sqlglot.transpile("SELECT log(1000.0) AS size", read="duckdb", write=target)[0]
    for target in ("postgres", "snowflake", "bigquery", "databricks", "tsql")
}
for target, text in texts.items():
    print(f"{target}: {text}")
right = duckdb.execute("SELECT log(1000.0)").fetchone()[0]
natural = duckdb.execute("SELECT ln(1000.0)").fetchone()[0]
print(f"DuckDB: log(1000.0) is {right}; the natural logarithm is {natural:.2f}")
held = right == 3 and texts["snowflake"] == "SELECT LN(1000.0) AS size"
held = held and all(texts[name] == "SELECT LOG(1000.0) AS size" for name in ("bigquery", "databricks", "tsql"))
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
