#!/usr/bin/env bash
# Show that sqlglot omits a column of a query when it translates the query for T-SQL.
#
# Versions: sqlglot 30.20.0
# Behaviour: T-SQL has no function like split_part. The translation drops the whole expression: a query of three
#   columns becomes a valid query of two. sqlglot raises an error only with unsupported_level=RAISE; by default it
#   writes a line to the log.
# Expected: The expression stays unchanged, so that the server refuses it, or the translation fails.
# Why it matters: A program creates the views of several warehouses from the same text. A view without a column is
#   created without an error, and a client that reads columns by position gets another column.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'sqlglot==30.20.0'
venv/bin/python - <<'PY'
import sqlglot

query = "SELECT job_id, split_part(path, '/', 2), state FROM jobs"
text = sqlglot.transpile(query, read="duckdb", write="tsql")[0]
columns = [len(sqlglot.parse_one(sql, read=name).expressions) for sql, name in ((query, "duckdb"), (text, "tsql"))]
try:
    sqlglot.transpile(query, read="duckdb", write="tsql", unsupported_level=sqlglot.ErrorLevel.RAISE)
    strict = "accepted"
except sqlglot.UnsupportedError as error:
    strict = f"UnsupportedError: {error}"
print("T-SQL:", text)
print("columns before and after:", columns)
print("with RAISE:", strict)
held = columns == [3, 2] and "path" not in text and strict.startswith("UnsupportedError")
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
