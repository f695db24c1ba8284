"""Measure the marts and the worked questions with 1,000,000 jobs in DuckDB; print a section of docs/benchmarks.md."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import duckdb
from avepoint_m365.constants import ObjectType
from m365_jobs import marts, schema
from m365_jobs.marts.catalog import VIEWS, questions

TABLES = """
CREATE SCHEMA m365_jobs; USE m365_jobs;
CREATE TABLE jobs AS
SELECT {tenant} AS tenant, printf('FB%021d', i) AS id, {location} AS location,
       {services}[1 + (hash(i) % 12)::INT] AS object_type,
       ['backup', 'backup', 'backup', 'backup', 'restore', 'export'][1 + (hash(i * 7) % 6)::INT] AS job_type,
       CASE WHEN i >= {jobs} - 200 THEN 'In Progress'
            ELSE ['Finished', 'Finished', 'Finished', 'Finished', 'Failed', 'Finished with Exception'][
                1 + (hash(i * 13) % 6)::INT] END AS state,
       begin + to_seconds(i * 60) AS start_time,
       CASE WHEN i < {jobs} - 200 THEN begin + to_seconds(i * 60 + (hash(i * 3) % 7000)::INT) END AS finish_time,
       (hash(i * 3) % 7000) / 3600 AS duration_hours, begin + to_seconds({jobs} * 60) AS first_seen_at,
       begin + to_seconds({jobs} * 60) AS fetched_at
FROM range({jobs}) AS t(i), (SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS begin);
CREATE TABLE jobs__backup_details AS
SELECT tenant, id AS job_id, (hash(id) % 500)::BIGINT AS total_number,
       (hash(id) % 500 * (hash(id || 'x') % 10) // 100)::BIGINT AS failed_number, 5::BIGINT AS successful_number,
       0::BIGINT AS skipped_number
FROM jobs;
CREATE TABLE jobs__job_errors AS
SELECT tenant, id AS job_id, e AS error_index, true AS is_error_code,
       'An error message as long as those of the API, number ' || hash(id || e) % 50 AS value,
       'https://support.example/kb' AS url, 3::BIGINT AS number
FROM jobs, range(2) AS t(e) WHERE hash(id || 'e') % 5 = 0;
CREATE TABLE load_audit AS
SELECT tenant || ' run ' || run AS run_id, tenant, location, object_type, NULL::VARCHAR AS job_type,
       max_start - to_hours(run::INT + 9) AS window_start, max_start - to_hours(run::INT) AS window_end,
       max_start - to_hours(run::INT) AS started_at,
       5::BIGINT AS reported_total, 5::BIGINT AS distinct_jobs, run % 10 > 0 AS complete
FROM range({runs}) AS t(run), (SELECT DISTINCT tenant, location, object_type FROM jobs),
     (SELECT max(start_time) AS max_start FROM jobs);
CREATE TABLE load_runs AS
SELECT run_id, any_value(tenant) AS tenant, max(started_at) AS started_at, max(started_at) AS ended_at,
       'complete' AS status, NULL::VARCHAR AS error_kind, NULL::VARCHAR AS detail, 1::BIGINT AS requests,
       5::BIGINT AS jobs, '0.1.0' AS product_version
FROM load_audit GROUP BY run_id;
CREATE TABLE state_words (word VARCHAR, state BIGINT, learned_at TIMESTAMPTZ);
"""
"""Jobs of a large tenant: a job each minute for two years, a fifth of them with errors, loaded each hour.

``PLACES`` fills in one tenant with three locations, ``places_of`` many tenants without locations."""

PLACES = {"tenant": "'default'", "location": "['EUR', 'NAM', NULL][1 + i % 3]", "runs": 2000}

TYPES = {"text": "VARCHAR", "timestamp": "TIMESTAMPTZ"}
TABLES += "\n".join(
    f"CREATE TABLE IF NOT EXISTS {table.name} ("
    + ", ".join(f'"{column.name}" {TYPES.get(column.type, column.type)}' for column in table.columns)
    + ");"
    for table in schema.TABLES
)


def places_of(tenants: int) -> dict[str, str | int]:
    """Return the values of ``TABLES`` for many tenants, whose jobs were loaded each hour for 30 days."""
    return {"tenant": f"printf('tenant %03d', i % {tenants})", "location": "NULL::VARCHAR", "runs": 720}


BY_OUTCOME = """
SELECT object_type, outcome, count(*), avg(failed_ratio), max(distinct_errors), sum(error_occurrences)
FROM job_facts GROUP BY object_type, outcome
"""

RUNS = 3


def main(jobs: int = 1_000_000) -> None:
    """Print the section."""
    services = [object_type.name for object_type in ObjectType]
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(Path(folder) / "warehouse.duckdb")) as connection:
        connection.execute(TABLES.format(jobs=jobs, services=services, **PLACES))
        marts.create_views(connection, "m365_jobs")
        print(f"## Marts: {jobs:,} jobs in DuckDB, the best of {RUNS} runs\n")
        print("| query | rows | seconds | of CPU time |\n|---|---:|---:|---:|")
        _measure(connection, "`job_facts`, added up by outcome", BY_OUTCOME)
        for view in VIEWS[1:]:
            _measure(connection, f"`{view}`", f"SELECT * FROM {view}")
        for question in questions():
            _measure(connection, question.question, question.sql)


def _measure(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    """Print a line with the number of rows of the result, and the time until the last row is read."""
    runs = []
    for _ in range(RUNS):
        began, work = time.monotonic(), time.process_time()
        rows = sum(batch.num_rows for batch in connection.sql(sql).to_arrow_reader(100_000))
        runs.append((time.monotonic() - began, time.process_time() - work))
    seconds, work = min(runs)
    print(f"| {name} | {rows:,} | {seconds:.2f} | {work:.2f} |")


if __name__ == "__main__":
    main()
