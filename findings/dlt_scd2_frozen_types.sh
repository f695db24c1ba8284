#!/usr/bin/env bash
# Show that scd2 of dlt violates a frozen data_type contract with an equal type.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: A table has validity columns of type timestamp. dlt appends more rows with the same column hints
#   without an error. A resource then fills the table with the strategy scd2 and the same hints. dlt replaces
#   these hints by its own, and reports that the contract data_type=freeze is violated. The message compares
#   timestamp with timestamp.
# Expected: The run succeeds, because the types and the hints are the same.
# Why it matters: A table of policies or retention rules often starts without versions. Adding scd2 later breaks
#   the contract that protects the types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import dlt

freeze = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}
hints = {name: {"data_type": "timestamp", "description": "Validity."} for name in ("valid_from", "valid_to")}
scd2 = {"disposition": "merge", "strategy": "scd2", "validity_column_names": ["valid_from", "valid_to"]}
pipeline = dlt.pipeline("rules", destination=dlt.destinations.duckdb("w.duckdb"), dataset_name="d")
first = [{"rule": "a", "valid_from": "2026-01-01T00:00:00Z", "valid_to": None}]
pipeline.run(first, table_name="rules", columns=hints, schema_contract=freeze)
pipeline.run([{"rule": "a"}], table_name="rules", columns=hints, schema_contract=freeze)
resource = dlt.resource([{"rule": "b"}], name="rules", columns=hints, write_disposition=scd2, schema_contract=freeze)
column = resource.compute_table_schema()["columns"]["valid_from"]
try:
    pipeline.run(resource)
    message = "loaded"
except Exception as error:
    message = str(error.__cause__ or error)
print("hint after scd2:", column)
print("run with scd2:", message)
held = (
    column["data_type"] == "timestamp" and "description" not in column
    and "`data_type` with `contract_mode=freeze` is violated" in message
    and message.count("'data_type': 'timestamp'") == 2
)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
