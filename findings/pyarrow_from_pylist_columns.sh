#!/usr/bin/env bash
# Show that Table.from_pylist of pyarrow drops fields that the first row lacks.
#
# Versions: pyarrow 26.0.1
# Behaviour: Table.from_pylist creates columns only for the fields of the first dictionary. It drops fields of
#   later dictionaries without an error. pa.array of the same dictionaries keeps all fields.
# Expected: The table has the fields of all rows, as with pa.array, or from_pylist raises an error.
# Why it matters: The job API omits empty fields. If the first job of a page has no error, the errors of the whole
#   page disappear.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import pyarrow as pa

rows = [{"id": 1}, {"id": 2, "error": "disk full"}]
listed = pa.Table.from_pylist(rows)
reverse = pa.Table.from_pylist(rows[::-1])
struct = pa.Table.from_struct_array(pa.array(rows))
print("from_pylist:          ", listed.to_pylist())
print("from_pylist, reversed:", reverse.to_pylist())
print("from_struct_array:    ", struct.to_pylist())
held = (
    listed.to_pylist() == [{"id": 1}, {"id": 2}]
    and reverse.to_pylist() == [{"id": 2, "error": "disk full"}, {"id": 1, "error": None}]
    and struct.to_pylist() == [{"id": 1, "error": None}, {"id": 2, "error": "disk full"}]
)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
