#!/usr/bin/env bash
# Show that dlt reports an existing table of a lake as undefined if its local schema lacks the table.
#
# Versions: dlt 1.31.0, deltalake 1.6.6
# Behaviour: load_open_table("delta", "jobs") of a pipeline with a new folder raises DestinationUndefinedEntity, although
#   the lake has the table, and get_open_table_location returns its directory. dlt asks its local schema, not the lake.
#   After sync_destination(), which restores the schema from the lake, the same call returns the table.
# Expected: The error is about the destination, as its name and its message say. The call needs no schema: location and
#   format are its arguments.
# Why it matters: A program that only reads has no folder of the loads. It must not take this error for "nothing is loaded
#   yet", which is what the error means in the pipeline that writes. The way round is a restored schema, or the table's
#   location and the library of the format.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[filesystem,deltalake]==1.31.0' 'deltalake==1.6.6'
venv/bin/python - <<'PY'
from pathlib import Path

import dlt
from deltalake import DeltaTable
from dlt.common.destination.exceptions import DestinationUndefinedEntity


def pipeline(folder):
    lake = dlt.destinations.filesystem(f"file://{Path('lake').absolute()}")
    return dlt.pipeline("history", pipelines_dir=str(Path(folder).absolute()), destination=lake, dataset_name="jobs")


def rows(reader):
    with reader.destination_client() as client:
        location = client.get_open_table_location("delta", "jobs")
        try:
            return location, len(client.load_open_table("delta", "jobs").to_pyarrow_table())
        except DestinationUndefinedEntity as error:
            return location, f"{type(error).__name__}: {error}"


pipeline("writer").run([{"id": 1}, {"id": 2}], table_name="jobs", table_format="delta")
reader = pipeline("reader")
location, new = rows(reader)
print("with a new folder:", new)
direct = len(DeltaTable(location).to_pyarrow_table())
print("rows at that location:", direct)
reader.sync_destination()
_, restored = rows(reader)
print("rows after sync_destination:", restored)
assert "DestinationUndefinedEntity" in str(new)
assert direct == restored == 2
PY
