#!/usr/bin/env bash
# Show that an exact sum of whole numbers becomes a rounded one in a data frame.
#
# Versions: duckdb 2.0.1, pandas 3.1.1, numpy 2.4.6, pyarrow 26.0.1
# Behaviour: The sum of a BIGINT column has the type HUGEINT. fetchone returns the exact number, df() a float64
#   that is wrong by one. The column itself becomes int64 in the data frame and is exact.
# Expected: The data frame has an integer type, or df() raises an error if a whole number does not fit.
# Why it matters: The sum of protected bytes of all tenants can exceed 2**53. A report from data frames then
#   differs from the query that it shows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'duckdb==2.0.1' 'pandas==3.1.1' 'numpy==2.4.6' 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import duckdb

connection = duckdb.connect()
connection.execute("CREATE TABLE jobs AS SELECT 9007199254740992::BIGINT AS bytes UNION ALL SELECT 1")
query = "SELECT sum(bytes) AS bytes FROM jobs"
exact = connection.execute(query).fetchone()[0]
frame = connection.execute(query).df()
column = connection.execute("SELECT bytes FROM jobs").df()
cast = connection.execute("SELECT sum(bytes)::BIGINT AS bytes FROM jobs").df()
print("fetchone:", exact)
print("df():", int(frame["bytes"][0]), frame["bytes"].dtype)
print("the column:", column["bytes"].dtype, "- the sum with a cast:", int(cast["bytes"][0]), cast["bytes"].dtype)
held = (
    exact == 9007199254740993 and int(frame["bytes"][0]) == 9007199254740992
    and str(frame["bytes"].dtype) == "float64" and str(column["bytes"].dtype) == "int64"
    and int(cast["bytes"][0]) == exact
)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
