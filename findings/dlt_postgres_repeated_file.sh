#!/usr/bin/env bash
# Show that dlt cannot load a file again into PostgreSQL if its rows were committed before its job was interrupted.
#
# Versions: dlt 1.31.0, psycopg2-binary 2.9.13, pgserver 0.1.4 (PostgreSQL 16)
# Behaviour: The commit of a file succeeds, and then its job fails as if the connection had been lost. dlt repeats the
#   job, and PostgreSQL refuses the rows, because their _dlt_id is UNIQUE. dlt treats this error as terminal, and the
#   load fails. This happens with write_disposition="append", and also with "merge", where the rows are in a staging
#   table.
# Expected: In a merge, a repeated job begins with an empty staging table, so it can load the file twice. In an append,
#   dlt recognises its own rows, or at least stores them twice.
# Why it matters: A pipeline that is killed at that moment stays broken. Each later run resumes the same package and
#   fails in the same way, until an operator drops the package or deletes its rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# The server runs as a user of its own if the script runs as root.
chmod 755 "$folder"
export DLT_DATA_DIR="$folder/dlt" RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL
python3 -m venv venv
venv/bin/pip install -qq 'dlt[postgres]==1.31.0' 'psycopg2-binary==2.9.13' 'pgserver==0.1.4'
venv/bin/python - <<'PY'
from urllib.parse import parse_qs, quote, urlsplit

import dlt, pgserver
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from dlt.pipeline.exceptions import PipelineStepFailed

load_file = InsertValuesLoadJob.run
interrupted = set()


def run_once_without_an_answer(job):
    load_file(job)
    if job.load_table_name == "jobs" and job.job_id() not in interrupted:
        interrupted.add(job.job_id())
        raise ConnectionError("lost after the commit")


InsertValuesLoadJob.run = run_once_without_an_answer
server = pgserver.get_server("data")
results = {}
try:
    # The server listens at a socket in its folder, which dlt takes as a host.
    socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
    credentials = f"postgresql://postgres:any@localhost/postgres?host={quote(socket, safe='')}"
    for disposition in ("append", "merge"):
        pipeline = dlt.pipeline(
            disposition, destination=dlt.destinations.postgres(credentials), dataset_name=disposition
        )
        try:
            pipeline.run([{"id": 1}], table_name="jobs", write_disposition=disposition, primary_key="id")
            results[disposition] = "loaded"
        except PipelineStepFailed as error:
            results[disposition] = "refused" if "duplicate key" in str(error) and "_dlt_id" in str(error) else str(error)
        print(disposition, results[disposition])
finally:
    server.cleanup()
expected = {"append": "refused", "merge": "refused"}
raise SystemExit(0 if results == expected else "The behaviour differs from the description.")
PY
