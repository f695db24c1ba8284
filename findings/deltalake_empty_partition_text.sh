#!/usr/bin/env bash
# Show that an empty text in a partition column of a Delta table comes back as null.
#
# Versions: deltalake 1.6.6, pyarrow 26.0.1
# Behaviour: A table is partitioned by a text column with the values "" and null. Both come back as null, and
#   the filter location = '' finds no row. In a table without partitions the two values stay different.
# Expected: The table returns the values that were written, as it does for a column that is not a partition.
# Why it matters: Tenants without a location have an empty text. A comparison of loaded with stored rows
#   reports a change of each such row after each load.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'deltalake==1.6.6' 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

rows = pa.table({"id": [1, 2], "location": pa.array(["", None], pa.string())})
results = {}
for name, partitions in (("plain", None), ("partitioned", ["location"])):
    write_deltalake(name, rows, partition_by=partitions)
    stored = DeltaTable(name).to_pyarrow_table()
    empty = stored.filter(pc.field("location") == "").num_rows
    results[name] = sorted((row["id"], row["location"]) for row in stored.to_pylist()), empty
    print(f"{name}: rows {results[name][0]}, found by location = '': {empty}")
expected = {"plain": ([(1, ""), (2, None)], 1), "partitioned": ([(1, None), (2, None)], 0)}
raise SystemExit(0 if results == expected else "The behaviour differs from the description.")
PY
