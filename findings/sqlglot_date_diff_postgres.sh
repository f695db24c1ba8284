#!/usr/bin/env bash
# Show that sqlglot turns date_diff into a rounded duration for PostgreSQL.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: date_diff('hour', a, b) of DuckDB counts how often the clock reaches a full hour. For PostgreSQL, sqlglot
#   divides the seconds by 3600 and casts to BIGINT, which rounds. The result for 10:59 to 11:01 changes from 1 to 0,
#   and the result for 10:00 to 10:40 from 0 to 1.
# Expected: Both queries return the same number, for example with the difference of two date_trunc values.
# Why it matters: Delays of jobs differ between two warehouses with the same mart. Some are higher and some lower,
#   so totals do not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb, sqlglot

source = "SELECT date_diff('hour', a, b) FROM times"
postgres = sqlglot.transpile(source, read="duckdb", write="postgres")[0]
print("PostgreSQL:", postgres)
held = "/ 3600 AS BIGINT" in postgres
# Both texts run in DuckDB: EXTRACT(epoch ...) and a rounding cast mean the same there.
for begin, end, counted, rounded in (("10:59", "11:01", 1, 0), ("10:00", "10:40", 0, 1), ("10:00", "12:00", 2, 2)):
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE times AS SELECT TIMESTAMP '2026-01-01 {begin}' a, TIMESTAMP '2026-01-01 {end}' b")
    values = [connection.execute(sql).fetchone()[0] for sql in (source, postgres)]
    print(f"{begin} to {end}: DuckDB {values[0]}, translation {values[1]}")
    held = held and values == [counted, rounded]
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
