#!/usr/bin/env bash
# Show that date_diff of DuckDB counts whole weeks, but the borders of months and quarters.
#
# Versions: duckdb 2.0.1
# Behaviour: From 31 January to 1 February, date_diff counts one month. From Sunday to Monday, it counts no week.
#   For weeks it gives the same result as date_sub, which counts full periods of seven days. date_trunc('week') of
#   the same two days differs by one week.
# Expected: One week from Sunday to Monday, because date_diff counts crossed borders.
# Why it matters: A report counts weeks without a successful backup with date_diff. Its number is lower than in a
#   weekly table, whose weeks come from date_trunc.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb

def differences(unit, begin, end):
    return duckdb.execute(f"""SELECT date_diff('{unit}', a, b), date_sub('{unit}', a, b),
        date_trunc('{unit}', a) <> date_trunc('{unit}', b)
        FROM (SELECT DATE '{begin}' AS a, DATE '{end}' AS b)""").fetchone()

cases = {
    "month": differences("month", "2026-01-31", "2026-02-01"),
    "quarter": differences("quarter", "2026-03-31", "2026-04-01"),
    "week": differences("week", "2026-01-04", "2026-01-05"),
    "long week": differences("week", "2026-01-02", "2026-01-08"),
}
for name, (diff, sub, border) in cases.items():
    print(f"{name}: date_diff {diff}, date_sub {sub}, date_trunc differs {border}")
expected = {"month": (1, 0, True), "quarter": (1, 0, True), "week": (0, 0, True), "long week": (0, 0, True)}
raise SystemExit(0 if cases == expected else "The behaviour differs from the description.")
PY
