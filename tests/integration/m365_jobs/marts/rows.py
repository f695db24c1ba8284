"""Create warehouses from short descriptions of jobs, in the tables of the source."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from avepoint_m365 import schema
from avepoint_m365.companions.schema import TABLES as COMPANION_TABLES
from m365_jobs.load.data_checks import failures_resource as load_check_failures
from m365_jobs.load.run_log import LoadRun
from m365_jobs.load.run_log import runs_resource as load_runs
from psycopg2.extras import execute_values

NOW = datetime(2026, 3, 20, 6, 0, tzinfo=UTC)
"""The end of the windows of all loads, unless a test sets another."""


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@dataclass(frozen=True)
class Error:
    value: str | None
    number: int | None = 1
    url: str | None = None


@dataclass(frozen=True)
class Job:
    """Describe a job; ``finish`` and ``start`` are times, or None if the job has none."""

    id: str
    finish: datetime | None
    state: str | None = "Finished"
    job_type: str | None = "backup"
    object_type: str | None = "exchange_online"
    tenant: str = "contoso"
    location: str | None = None
    start: datetime | None = NOW - timedelta(days=20)
    total: int | None = 100
    failed: int | None = 0
    successful: int | None = 100
    skipped: int | None = 0
    errors: tuple[Error, ...] = ()

    @property
    def partition(self) -> tuple[str, str | None, str | None]:
        return self.tenant, self.location, self.object_type


@dataclass(frozen=True)
class Read:
    """Describe a row of ``load_audit``: a listing of a load."""

    object_type: str | None = "exchange_online"
    tenant: str = "contoso"
    location: str | None = None
    until: datetime = NOW
    complete: bool = True
    job_type: str | None = None
    run_id: str = "run"
    at: datetime | None = None
    """The time of the listing; ``until`` if unset."""

    @property
    def partition(self) -> tuple[str, str | None, str | None]:
        return self.tenant, self.location, self.object_type


@dataclass
class Rows:
    """Hold the rows of a warehouse."""

    jobs: list[Job] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    companions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of the companions' tables, by name; columns that are left out are null."""
    words: dict[str, int] = field(default_factory=dict)
    """Rows of ``state_words``: word to code."""

    def load(self, pipeline: dlt.Pipeline) -> None:
        """Replace the rows of the tables with these, with the types of a real load."""
        if not pipeline.default_schema_name:
            make_tables(pipeline)
        rows: dict[schema.Table, list[dict[str, Any]]] = {
            schema.JOBS: [_job(job) for job in self.jobs],
            schema.BACKUP_DETAILS: [_details(job) for job in self.jobs],
            schema.JOB_ERRORS: [row for job in self.jobs for row in _errors(job)],
            schema.LOAD_AUDIT: [_audit(read) for read in self.reads],
            schema.JOB_CHANGES: [],
            schema.STATE_WORDS: [{"word": word, "state": code, "learned_at": NOW} for word, code in self.words.items()],
            schema.RECONCILIATIONS: [],
        }
        rows |= {table: self.companions.get(table.name, []) for table in COMPANION_TABLES}
        with pipeline.sql_client() as client:
            for table, values in rows.items():
                _replace(client, table.name, pa.Table.from_pylist(values, table.arrow))
            client.execute_sql(f"UPDATE {client.make_qualified_table_name('load_runs')} SET jobs = {len(self.jobs)}")


def make_tables(pipeline: dlt.Pipeline) -> None:
    """Create the tables as a real load does; only the tables of runs and findings get a load."""
    resources = [
        dlt.resource([table.arrow.empty_table()], name=table.name, write_disposition="replace")
        for table in (*schema.TABLES, *COMPANION_TABLES)
    ]
    run = LoadRun("run", "contoso", NOW, NOW, "complete", None, None, requests=1, jobs=0)
    pipeline.run([*resources, load_runs(iter([run])), load_check_failures([])]).raise_on_failed_jobs()


def _replace(client: Any, name: str, rows: pa.Table) -> None:
    """Replace the rows of a table without dlt: a dlt run would take most of a test's time."""
    table = client.make_qualified_table_name(name)
    client.execute_sql(f"DELETE FROM {table}")
    if not rows.num_rows:
        return
    columns = ", ".join(f'"{column}"' for column in rows.column_names)
    if isinstance(client.native_connection, duckdb.DuckDBPyConnection):
        client.native_connection.register("new_rows", rows)
        client.native_connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM new_rows")
        client.native_connection.unregister("new_rows")
    else:
        with client.native_connection.cursor() as cursor:
            values = [tuple(row.values()) for row in rows.to_pylist()]
            execute_values(cursor, f"INSERT INTO {table} ({columns}) VALUES %s", values, page_size=1000)


def _job(job: Job) -> dict[str, Any]:
    return {
        "tenant": job.tenant,
        "id": job.id,
        "location": job.location,
        "object_type": job.object_type,
        "job_type": job.job_type,
        "state": job.state,
        "start_time": job.start,
        "finish_time": job.finish,
        "duration_hours": 0.5,
        "first_seen_at": NOW + timedelta(minutes=1),
        "fetched_at": NOW + timedelta(minutes=1),
    }


def _details(job: Job) -> dict[str, Any]:
    counts = {
        "total_number": job.total,
        "failed_number": job.failed,
        "successful_number": job.successful,
        "skipped_number": job.skipped,
    }
    return {"tenant": job.tenant, "job_id": job.id, **counts}


def _errors(job: Job) -> list[dict[str, Any]]:
    return [
        {"tenant": job.tenant, "job_id": job.id, "error_index": index, "is_error_code": True, **vars(error)}
        for index, error in enumerate(job.errors)
    ]


def _audit(read: Read) -> dict[str, Any]:
    known = {"run_id": read.run_id, "tenant": read.tenant, "location": read.location, "object_type": read.object_type}
    return {
        **known,
        "job_type": read.job_type,
        "window_start": read.until - timedelta(days=2),
        "window_end": read.until,
        "complete": read.complete,
        "started_at": read.at or read.until,
    }
