#!/usr/bin/env bash
# Show that INSERT OR REPLACE of DuckDB does not replace the whole row.
#
# Versions: duckdb 2.0.1, SQLite of Python for comparison
# Behaviour: INSERT OR REPLACE with some of the columns keeps the old values of the others. In SQLite, where
#   the statement comes from, the row is deleted first and the other columns become NULL.
# Expected: A new row replaces the old row, as the name of the statement says and as in SQLite.
# Why it matters: A load stores a failed job with its error. A later load stores the same job, which has succeeded,
#   without an error field. The error of the failed run stays in the row.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import sqlite3
import duckdb

def replaced(connection):
    connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, error TEXT)")
    connection.execute("INSERT INTO jobs VALUES (1, 'failed', 'disk full')")
    connection.execute("INSERT OR REPLACE INTO jobs (id, state) VALUES (1, 'succeeded')")
    return connection.execute("SELECT * FROM jobs").fetchall()

sqlite, duck = replaced(sqlite3.connect(":memory:")), replaced(duckdb.connect())
print("SQLite:", sqlite)
print("DuckDB:", duck)
held = sqlite == [(1, "succeeded", None)] and duck == [(1, "succeeded", "disk full")]
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
