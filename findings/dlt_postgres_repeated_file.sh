#!/usr/bin/env bash
# Show that dlt cannot repeat a file on PostgreSQL whose rows were committed before its job was cut short.
#
# Versions: dlt 1.31.0, psycopg2-binary 2.9.13, pgserver 0.1.4 (PostgreSQL 16)
# Behaviour: The commit of a file succeeds, and then its job fails as if the connection had been lost. dlt repeats the
#   job, and PostgreSQL refuses the rows: their _dlt_id is UNIQUE. That counts as terminal, and the load fails. It does
#   so with write_disposition="append", and with "merge" as well, where the rows lie in a staging table.
# Expected: A repeated job of a merge begins with an empty staging table, so a file may be loaded twice. In an append,
#   one would expect rows twice, or that dlt recognises its own rows.
# Why it matters: A pipeline that is killed at that moment stays broken: each later run resumes the same package and
#   fails the same way, until somebody drops the package or deletes its rows.
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
