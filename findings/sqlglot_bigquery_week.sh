#!/usr/bin/env bash
# Show that sqlglot changes the first day of the week when it translates a query for BigQuery.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: date_trunc('week', t) of DuckDB and PostgreSQL begins on Monday. The translation is
#   TIMESTAMP_TRUNC(t, WEEK), whose week begins on Sunday. sqlglot knows this: if it translates the query back, it
#   adds a shift of one day.
# Expected: TIMESTAMP_TRUNC(t, ISOWEEK) or WEEK(MONDAY), which sqlglot translates back to a plain week of DuckDB.
# Why it matters: The weekly numbers of a mart differ between DuckDB and BigQuery, because each Sunday belongs to
#   another week.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb, sqlglot

def translate(sql, read, write):
    return sqlglot.transpile(sql, read=read, write=write)[0]

source = "SELECT CAST(date_trunc('week', t) AS DATE) FROM (SELECT TIMESTAMP '2026-01-04 12:00:00' AS t) AS x"
bigquery = translate(source, "duckdb", "bigquery")
back = translate(bigquery, "bigquery", "duckdb")
monday = translate(bigquery.replace("WEEK", "ISOWEEK"), "bigquery", "duckdb")
weeks = [str(duckdb.execute(sql).fetchone()[0]) for sql in (source, back, monday)]
print("BigQuery:", bigquery)
print("week of Sunday 4 January 2026 in DuckDB:", weeks[0])
print("the same as BigQuery means it:", weeks[1], "- with ISOWEEK:", weeks[2])
held = "_TRUNC(" in bigquery and ", WEEK)" in bigquery and weeks == ["2025-12-29", "2026-01-04", "2025-12-29"]
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
