#!/usr/bin/env bash
# Show that dlt's contract for data types refuses a column that only became required, as a change of its type.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: With schema_contract={"data_type": "freeze"}, a table was loaded with a nullable column "at". A later run
#   declares "at" as part of the primary key, which makes it required. dlt raises DataValidationError and names the
#   data type contract, although the type is timestamp before and after. The run fails before any row is written, also
#   if no row has a null. Without the contract the same run succeeds.
# Expected: Nullability is no data type. A contract on types lets a hint pass that changes none.
# Why it matters: A new version of a source adds a column to its key. New warehouses work. Every warehouse of the older
#   version refuses each load from then on, and the message speaks of a type that did not change.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
from datetime import UTC, datetime

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.common.schema.exceptions import DataValidationError

ROWS = [{"id": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}]


def load(name, key, contract):
    resource = dlt.resource(
        ROWS,
        name="checks",
        primary_key=key,
        write_disposition="merge",
        columns={"at": {"data_type": "timestamp"}},
        schema_contract=contract,
    )
    pipeline = dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="data")
    pipeline.run(resource)
    column = pipeline.default_schema.tables["checks"]["columns"]["at"]
    return column["data_type"], column.get("nullable", True)


for contract in ({}, {"data_type": "freeze"}):
    name = "frozen" if contract else "free"
    print(name, "first load:", load(name, ["id"], contract))
    try:
        print(name, "second load:", load(name, ["id", "at"], contract))
        failed = None
    except PipelineStepFailed as error:
        failed = error.__cause__
        while failed is not None and not isinstance(failed, DataValidationError):
            failed = failed.__cause__ or failed.__context__
        print(name, "second load:", type(failed).__name__, str(failed).splitlines()[0][:300])
    assert (failed is not None) == bool(contract)
PY
