#!/usr/bin/env bash
# Show that time_bucket of DuckDB ignores the time zone that date_trunc follows.
#
# Versions: duckdb 2.0.1, pytz 2026.6
# Behaviour: With TimeZone = 'Asia/Tokyo', a day of date_trunc('day', t) begins at midnight in Tokyo. A day of
#   time_bucket(INTERVAL 1 DAY, t) begins at midnight in UTC, which is 09:00 in Tokyo. So the same session assigns
#   a time to two different days.
# Expected: Both functions return the same day, as they do for a TIMESTAMP without time zone.
# Why it matters: A chart with time_bucket and a table with date_trunc show different daily counts of jobs. In UTC
#   the difference does not appear.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1' 'pytz==2026.6'
venv/bin/python - <<'PY'
import duckdb

query = """SELECT date_trunc('day', t)::VARCHAR, time_bucket(INTERVAL 1 DAY, t)::VARCHAR
FROM (SELECT TIMESTAMPTZ '2026-01-01 20:00:00+00' AS t)"""
days = {}
for zone in ("UTC", "Asia/Tokyo"):
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{zone}'")
    days[zone] = connection.execute(query).fetchone()
    print(zone, "date_trunc", days[zone][0], "time_bucket", days[zone][1])
held = days == {
    "UTC": ("2026-01-01 00:00:00+00", "2026-01-01 00:00:00+00"),
    "Asia/Tokyo": ("2026-01-02 00:00:00+09", "2026-01-01 09:00:00+09"),
}
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
