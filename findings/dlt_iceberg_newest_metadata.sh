#!/usr/bin/env bash
# Show that dlt opens an Iceberg table with the newest metadata file, although no commit refers to that file.
#
# Versions: dlt 1.31.0, pyiceberg 0.12.0
# Behaviour: pyiceberg creates the metadata file of a commit under its final name, and then writes its content. Without
#   a configured catalog, dlt registers the table again in each run, with the metadata file whose name is last in order.
#   If a killed writer left that file empty, each later run fails with a ValidationError for its JSON.
# Expected: In Iceberg the catalog names the valid metadata file, so a file of an unfinished commit does no harm.
# Why it matters: The table is intact, and its other metadata files refer to all rows. Yet no load and no dataset of dlt
#   can open the table until an operator deletes the empty file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[filesystem,pyiceberg]==1.31.0' 'pyiceberg[pyarrow,sql-sqlite]==0.12.0'
venv/bin/python - <<'PY'
from pathlib import Path

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from pyiceberg.table import StaticTable


def run(number):
    """Append one row as a container does: without a working folder of an earlier run."""
    lake = dlt.destinations.filesystem(f"file://{Path('lake').absolute()}")
    folder = str(Path(f"work_{number}").absolute())
    pipeline = dlt.pipeline("history", pipelines_dir=folder, destination=lake, dataset_name="jobs")
    pipeline.run([{"id": number}], table_name="jobs", table_format="iceberg", write_disposition="append")


for number in (1, 2):
    run(number)
metadata = sorted(Path("lake/jobs/jobs/metadata").glob("*.metadata.json"))
print("metadata files:", [file.name[:5] for file in metadata])
# Create the file that remains if a writer is killed after it created the metadata file of its commit.
begun = metadata[-1].with_name(f"{len(metadata):05d}-0b1f5c0e-1111-4222-8333-444455556666.metadata.json")
begun.write_text("")
failures = []
for number in (3, 4):
    try:
        run(number)
        print("run", number, "succeeded")
    except PipelineStepFailed as error:
        failures.append("Invalid JSON" in str(error))
        print("run", number, "failed:", next(line for line in str(error).splitlines() if "JSON" in line).strip()[:100])
begun.unlink()
run(5)
newest = max(Path("lake/jobs/jobs/metadata").glob("*.metadata.json"))
rows = StaticTable.from_metadata(f"file://{newest.absolute()}").scan().to_arrow()
print("rows after the file was deleted:", sorted(rows["id"].to_pylist()))
raise SystemExit(0 if failures == [True, True] else "The behaviour differs from the description.")
PY
