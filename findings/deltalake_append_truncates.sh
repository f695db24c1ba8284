#!/usr/bin/env bash
# Show that an append to a Delta table cuts fractions off without an error.
#
# Versions: deltalake 1.6.6, pyarrow 26.0.1
# Behaviour: write_deltalake in mode append casts a column of floats to the whole numbers of the table. 2.9
#   becomes 2 and -2.9 becomes -2. A cast of pyarrow refuses the same values.
# Expected: An error: a schema mismatch, as for an additional column, or the error of pyarrow.
# Why it matters: A size that the API sends as a whole number on one page and with a fraction on another loses
#   bytes on append.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'deltalake==1.6.6' 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

write_deltalake("table", pa.table({"size": pa.array([1], pa.int64())}))
write_deltalake("table", pa.table({"size": [2.9, -2.9]}), mode="append")
sizes = sorted(DeltaTable("table").to_pyarrow_table()["size"].to_pylist())
try:
    pa.array([2.9]).cast(pa.int64())
    strict = "accepted"
except pa.ArrowInvalid as error:
    strict = f"ArrowInvalid: {error}"
print("appended 2.9 and -2.9 to 1; the table holds:", sizes)
print("cast of pyarrow:", strict)
held = sizes == [-2, 1, 2] and strict.startswith("ArrowInvalid")
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
