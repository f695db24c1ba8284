#!/usr/bin/env bash
# Show that sqlglot does not translate the ISO week of a format, and that PostgreSQL then returns another week.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: strftime(d, '%G-W%V') becomes TO_CHAR(d, '%G-W%V') for PostgreSQL and Snowflake. In a format of
#   PostgreSQL, a percent sign has no meaning, so it is printed, and W means the week of the month. sqlglot
#   translates other parts: %Y becomes YYYY. For T-SQL the week becomes the words "iso_week" in the format.
# Expected: TO_CHAR(d, 'IYYY-"W"IW') for PostgreSQL, or an error with unsupported_level=RAISE.
# Why it matters: A query that groups jobs by that week returns five groups, one for each week of a month, over all
#   years.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb, sqlglot

def translated(form, target):
    query = f"SELECT strftime(d, '{form}') AS week"
    return sqlglot.transpile(query, read="duckdb", write=target, unsupported_level=sqlglot.ErrorLevel.RAISE)[0]

texts = {target: translated("%G-W%V", target) for target in ("postgres", "snowflake", "tsql")}
print("DuckDB:", duckdb.execute("SELECT strftime(DATE '2026-01-01', '%G-W%V')").fetchone()[0])
for target, text in texts.items():
    print(f"{target}: {text}")
print("a year and a month:", translated("%Y-%m", "postgres"))
held = texts["postgres"] == texts["snowflake"] == "SELECT TO_CHAR(d, '%G-W%V') AS week"
held = held and "iso_week" in texts["tsql"] and "YYYY-MM" in translated("%Y-%m", "postgres")
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
