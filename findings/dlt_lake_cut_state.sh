#!/usr/bin/env bash
# Show that dlt's filesystem destination does not use an older state file if the newest one is incomplete.
#
# Versions: dlt 1.31.0
# Behaviour: dlt writes each new version of a pipeline's state to a separate file, under its final name. A kill or a
#   power failure may end the process between the creation of the file and the writing of its content. The newest file
#   is then empty. Each later run with a new working folder fails with JSONDecodeError when it restores the state.
# Expected: dlt renames the file after it is complete, or uses the newest readable file. The older files still exist.
# Why it matters: Containers have no working folder of an earlier run. After such an end, each load into the lake
#   fails until an operator deletes that file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL
python3 -m venv venv
venv/bin/pip install -qq 'dlt[filesystem]==1.31.0'
venv/bin/python - <<'PY'
from pathlib import Path

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed


@dlt.resource(name="jobs", primary_key="id")
def jobs(number, cursor=dlt.sources.incremental("id")):
    yield [{"id": number}]


def run(number):
    """Load one row into the lake as a container does: without a working folder of an earlier run."""
    lake = dlt.destinations.filesystem(f"file://{Path('lake').absolute()}")
    folder = str(Path(f"work_{number}").absolute())
    pipeline = dlt.pipeline("history", pipelines_dir=folder, destination=lake, dataset_name="jobs")
    return pipeline.run(jobs(number))


for number in (1, 2):
    run(number)
states = sorted(Path("lake/jobs/_dlt_pipeline_state").glob("history__*"), key=lambda file: file.stat().st_mtime_ns)
print("state files:", len(states))
# Create the file that remains if its writer is killed after open().
states[-1].write_text("")
failures = []
for number in (3, 4):
    try:
        run(number)
        print("run", number, "succeeded")
    except PipelineStepFailed as error:
        failures.append(type(error.__cause__ or error.__context__).__name__)
        print("run", number, "failed:", failures[-1])
states[-1].unlink()
run(5)
print("run 5 succeeded without the file")
raise SystemExit(0 if failures == ["JSONDecodeError"] * 2 else "The behaviour differs from the description.")
PY
