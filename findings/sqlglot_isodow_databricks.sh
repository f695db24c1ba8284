#!/usr/bin/env bash
# Show that sqlglot translates the ISO day of the week to a wrong formula for Databricks.
#
# Versions: sqlglot 30.20.0, duckdb 2.0.1
# Behaviour: isodow(d) becomes ((DAYOFWEEK(d) % 7) + 1) for Databricks and Spark. DAYOFWEEK there returns 1 for
#   Sunday to 7 for Saturday. The formula returns 2 for Sunday and 3 for Monday; the result is wrong for each day.
# Expected: ((DAYOFWEEK(d) + 5) % 7) + 1, or WEEKDAY(d) + 1, which return 1 for Monday to 7 for Sunday.
# Why it matters: On such a warehouse, a report of failed jobs by day of the week shows wrong days, although its
#   numbers look plausible.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import datetime
import duckdb, sqlglot

text = sqlglot.transpile("SELECT isodow(d) AS day", read="duckdb", write="databricks")[0]
formula = text.removeprefix("SELECT ").removesuffix(" AS day")
print("Databricks:", formula)
wrong = []
for offset in range(7):
    day = datetime.date(2026, 1, 4) + datetime.timedelta(offset)
    spark = offset + 1  # 4 January 2026 is a Sunday; DAYOFWEEK of Spark starts with 1 on Sunday
    right = duckdb.execute(f"SELECT isodow(DATE '{day}')").fetchone()[0]
    expression = formula.replace("DAYOFWEEK(d)", str(spark))
    value = duckdb.execute(f"SELECT {expression}").fetchone()[0]
    print(f"{day:%A}: DuckDB {right}, Databricks {value}")
    if value != right:
        wrong.append(day)
held = "DAYOFWEEK(d)" in formula and len(wrong) == 7
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
