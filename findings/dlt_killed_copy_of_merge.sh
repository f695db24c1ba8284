#!/usr/bin/env bash
# Show that a load that is killed while dlt copies the SQL of a merge cannot be resumed.
#
# Versions: dlt 1.31.0, duckdb 2.0.1
# Behaviour: dlt writes the SQL of a merge into the temporary folder and renames the file into the load package. If the
#   temporary folder is on another file system, it copies the file instead, under 32 hexadecimal digits without an
#   extension, and renames the copy. A process that is killed between the two leaves the copy among the package's new
#   files. Each later load() of the pipeline then raises TerminalValueError, which names only those digits.
# Expected: A file that is still being copied lies outside of the folder whose files are loaded, or its name is skipped.
#   Where both folders are on one file system, the same kill is harmless.
# Why it matters: /tmp is a file system of its own in containers and on many Linux systems, so a job that is killed for
#   its memory can block its pipeline for good. A resumed load has to remove such files first.
set -euo pipefail
[ -d /dev/shm ] || { echo "This needs /dev/shm as a second file system."; exit 1; }
folder=$(mktemp -d -p "${HOME:-/var/tmp}")
other=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$folder" "$other"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'dlt[duckdb]==1.31.0' 'duckdb==2.0.1'
cat > load.py <<'PY'
import os
import shutil
import sys
from pathlib import Path

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed

copy = shutil.copyfile


def copy_and_be_killed(source, target):
    copy(source, target)
    if "new_jobs" in str(target):
        os.kill(os.getpid(), 9)


pipeline = dlt.pipeline("jobs", destination=dlt.destinations.duckdb("jobs.duckdb"), dataset_name="data")
if sys.argv[1] == "kill":
    shutil.copyfile = copy_and_be_killed
    pipeline.run([{"id": 1, "state": "Finished"}], table_name="jobs", write_disposition="merge", primary_key="id")
    print("not killed")
    sys.exit(2)
files = {path.name for path in Path("dlt").glob("pipelines/jobs/load/normalized/*/new_jobs/*")}
print("files of the package that wait:", files)
try:
    pipeline.load()
    print("loaded")
except (PipelineStepFailed, ValueError) as error:
    print(f"{type(error).__name__}: {str(error)[:300]}")
    cause = error.exception if isinstance(error, PipelineStepFailed) else error
    print("cause:", type(cause).__name__)
    sys.exit(0 if type(cause).__name__ == "TerminalValueError" else 1)
sys.exit(1)
PY
run() {
  TMPDIR=$1 RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt" venv/bin/python load.py "$2"
}
if run "$other" kill; then echo "The load was not killed."; exit 1; fi
for attempt in 1 2 3; do
  echo "attempt $attempt"
  run "$other" resume
done
