#!/usr/bin/env bash
# Show that arg_max of DuckDB does not return the value of the newest row if this value is NULL.
#
# Versions: duckdb 2.0.1
# Behaviour: The newest row of a job has no error text. arg_max(error, finished) returns the text of an older
#   row, because rows whose value is NULL are skipped. arg_max over a whole row and last(... ORDER BY ...)
#   return NULL.
# Expected: arg_max returns the value of the row with the latest finish, also if this value is NULL.
# Why it matters: A job failed and then succeeded. A report shows it as succeeded, with the error of the failed run,
#   because the result mixes columns of two rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import duckdb

runs = "(VALUES ('failed', 'disk full', 1), ('succeeded', NULL, 2)) AS runs (state, error, finished)"
mixed = duckdb.execute(f"SELECT arg_max(state, finished), arg_max(error, finished) FROM {runs}").fetchone()
row = duckdb.execute(f"SELECT arg_max(runs, finished) FROM {runs}").fetchone()[0]
ordered = duckdb.execute(f"SELECT last(state ORDER BY finished), last(error ORDER BY finished) FROM {runs}").fetchone()
nulls = duckdb.execute(f"SELECT arg_max(state, finished), arg_max_null(error, finished) FROM {runs}").fetchone()
print("arg_max of each column:", mixed)
print("arg_max of the row:    ", (row["state"], row["error"]))
print("last with ORDER BY:    ", ordered)
print("arg_max_null:          ", nulls)
latest = ("succeeded", None)
held = mixed == ("succeeded", "disk full") and (row["state"], row["error"]) == ordered == nulls == latest
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
