#!/usr/bin/env bash
# Show that sqlglot translates DuckDB's division of whole numbers to a division that rounds in Snowflake.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: DuckDB's a // b drops the fraction. For Snowflake it becomes CAST(a / b AS INT). Snowflake divides
#   whole numbers to a fraction, and its cast to INT rounds half away from zero. So 7 // 2 is 3 in DuckDB, but 4 in
#   Snowflake.
# Expected: TRUNC(a / b), or FLOOR for positive numbers. For PostgreSQL it becomes DIV(a, b), which is correct.
# Why it matters: Queries group jobs by hours or weeks with //. Half of the jobs are then in the next group, and the
#   sums look plausible.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb, sqlglot

text = sqlglot.transpile("SELECT hours // 24 AS day", read="duckdb", write="snowflake")[0]
print("Snowflake:", text)
wrong = []
for hours in range(0, 48, 6):
    right = duckdb.execute(f"SELECT {hours} // 24").fetchone()[0]
    # Simulate Snowflake's cast in DuckDB: a fraction, rounded half away from zero.
    rounded = duckdb.execute(f"SELECT CAST(round(CAST({hours} AS DECIMAL(18, 6)) / 24, 0) AS INTEGER)").fetchone()[0]
    print(f"hour {hours}: day {right} in DuckDB, {rounded} by a cast that rounds")
    if rounded != right:
        wrong.append(hours)
held = text == "SELECT CAST(hours / 24 AS INT) AS day" and wrong == [12, 18, 36, 42]
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
