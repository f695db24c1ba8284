"""Define every table that the source fills: columns, types, keys and descriptions, with Arrow schemas and dlt hints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import dlt

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.schema.typing import TColumnSchema, TDeleteInsertStrategyDict, TTableSchemaColumns
    from dlt.extract.hints import TResourceHints

CURSOR = "finish_time"
REMOVED = "_dlt_removed"
"""Marks a row of ``jobs__job_errors`` that only deletes the earlier rows of its job; it never stays in the table."""

UNKNOWN_FIELDS = "unknown_fields"
"""Optional column of ``jobs``: the fields of a job that the reference does not name, as JSON; null without any."""

DLT_TYPES: Mapping[str, TColumnSchema] = MappingProxyType(
    {
        "text": {"data_type": "text"},
        "bigint": {"data_type": "bigint"},
        "double": {"data_type": "double"},
        "boolean": {"data_type": "bool"},
        "timestamp": {"data_type": "timestamp", "timezone": True},
        "date": {"data_type": "date"},
    }
)
"""Type of a column to dlt's hints for it."""

DELETE_INSERT: TDeleteInsertStrategyDict = {"disposition": "merge", "strategy": "delete-insert"}
"""How dlt writes a table of current rows: a row replaces one with the same key."""


class Column(NamedTuple):
    """Describe a column: its type (text, bigint, double, boolean, date, timestamp), unit and meaning."""

    name: str
    type: str
    description: str
    unit: str = ""
    nullable: bool = True


@dataclass(frozen=True, eq=False)
class Table:
    """Describe a table of the warehouse.

    ``key`` are the columns that identify a row; a row replaces one with the same key.
    ``merge_key`` are the columns of the parent whose rows are replaced together.
    """

    name: str
    about: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    append: bool = False
    merge_key: tuple[str, ...] = ()
    internal: tuple[tuple[str, str], ...] = ()
    """Names and types of columns for dlt, which are not part of the contract."""
    hints: Mapping[str, TColumnSchema] = field(default_factory=dict)
    """dlt's hints for single columns."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns of the contract."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def arrow(self) -> pa.Schema:
        """Return the Arrow schema of the rows that the source yields."""
        # Imported here: commands that only read need no Arrow, which is a tenth of their start.
        import pyarrow as pa

        types = {
            "text": pa.string(),
            "bigint": pa.int64(),
            "double": pa.float64(),
            "boolean": pa.bool_(),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "date": pa.date32(),
        }
        fields = [pa.field(column.name, types[column.type], column.nullable) for column in self.columns]
        return pa.schema([*fields, *(pa.field(name, types[kind]) for name, kind in self.internal)])

    @cached_property
    def dlt_columns(self) -> TTableSchemaColumns:
        """Return dlt's column hints, for rows that are objects instead of Arrow tables."""
        return {column.name: {**DLT_TYPES[column.type], "nullable": column.nullable} for column in self.columns}

    @cached_property
    def append_hints(self) -> TResourceHints:
        """Return the hints that make dlt append an Arrow table to this table."""
        key, columns = list(self.key) or None, dict(self.hints) or None
        return dlt.mark.make_hints(table_name=self.name, write_disposition="append", primary_key=key, columns=columns)

    @cached_property
    def resource_hints(self) -> TResourceHints:
        """Return the hints that make dlt merge an Arrow table into this table: rows replace those with the same key."""
        merge = DELETE_INSERT.copy()
        if self.merge_key:
            merge["destination_scope"] = _rows_of_same(self.merge_key)
        return {**self.append_hints, "write_disposition": merge}


def _rows_of_same(parent: tuple[str, ...]) -> str:
    """Return the SQL that selects the stored rows of the parents in a load.

    With dlt's own ``merge_key`` beside a primary key, a merge deletes by "primary key OR merge key". A database pairs
    all stored rows with all new ones for that: one job with 10,000 errors needs more than DuckDB's 250 MB. Databases
    qualify the columns of the outer table differently. So the inner columns get names of their own, and the outer ones
    need no qualifier.
    """
    columns = ", ".join(f"{name} AS loaded_{name}" for name in parent)
    same = " AND ".join(f"loaded_{name} = {name}" for name in parent)
    return f"EXISTS (SELECT 1 FROM (SELECT {columns} FROM {{staging_table}}) AS loaded WHERE {same})"


def text(name: str, description: str, unit: str = "") -> Column:
    """Return a column of text."""
    return Column(name, "text", description, unit)


def time(name: str, description: str) -> Column:
    """Return a column of times in UTC."""
    return Column(name, "timestamp", description, "UTC")


def count(name: str, description: str, unit: str) -> Column:
    """Return a column of whole numbers."""
    return Column(name, "bigint", description, unit)


def flag(name: str, description: str) -> Column:
    """Return a column of true and false."""
    return Column(name, "boolean", description)


def number(name: str, description: str, unit: str) -> Column:
    """Return a column of numbers with a fraction."""
    return Column(name, "double", description, unit)


def required(column: Column) -> Column:
    """Return the same column for values that are never null."""
    return Column(column.name, column.type, column.description, column.unit, nullable=False)


TENANT = text("tenant", "Label of the tenant.")
RUN_ID = required(text("run_id", "The load, as load_runs.run_id."))
JOB_ID = required(text("job_id", "The job, as jobs.id."))

JOBS = Table(
    "jobs",
    "Every job that the API knows of, or knew of, in its newest state: one row per job.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "The job's id, as AvePoint gives it.")),
        text("location", "Multi-Geo location that was asked for; null where none was."),
        text("object_type", "Service, such as exchange_online; null where the API does not tell services apart."),
        text("job_type", "backup, restore, export, deletion or retention; null where it is unknown."),
        text("state", "The API's word for the state, unchanged."),
        time("start_time", "When the job started."),
        time(CURSOR, "When it ended; null while it runs."),
        number("duration_hours", "Duration as the API gives it.", "hours"),
        time("first_seen_at", "When a load first read this job."),
        time("fetched_at", "When a load first read this state of the job."),
    ),
)

JOBS_WITH_UNKNOWN = replace(
    JOBS,
    internal=((UNKNOWN_FIELDS, "text"),),
    hints={UNKNOWN_FIELDS: {"name": UNKNOWN_FIELDS, "data_type": "json", "nullable": True}},
)
"""``jobs`` with its optional column."""

BACKUP_DETAILS = Table(
    "jobs__backup_details",
    "What a job did, in objects: one row per job.",
    ("tenant", "job_id"),
    (
        required(TENANT),
        JOB_ID,
        count("total_number", "Objects the job was to process.", "objects"),
        count("failed_number", "Objects that failed.", "objects"),
        count("successful_number", "Objects that succeeded.", "objects"),
        count("skipped_number", "Objects that were skipped.", "objects"),
    ),
)

JOB_ERRORS = Table(
    "jobs__job_errors",
    "What went wrong in a job: one row per error that the API lists for it.",
    ("tenant", "job_id", "error_index"),
    (
        required(TENANT),
        JOB_ID,
        Column("error_index", "bigint", "Place in the job's list of errors, from 0.", nullable=False),
        flag("is_error_code", "Whether the API calls the message an error code."),
        text("value", "The error message."),
        text("url", "Page that explains it, where the API names one."),
        count("number", "How often it occurred in the job.", "occurrences"),
    ),
    # The merge key makes a job's errors replace all its earlier ones; the primary key alone would leave those that
    # the API no longer lists. The primary key drops rows that a killed load staged twice.
    merge_key=("tenant", "job_id"),
    internal=((REMOVED, "boolean"),),
    hints={REMOVED: {"name": REMOVED, "data_type": "bool", "hard_delete": True}},
)

LOAD_AUDIT = Table(
    "load_audit",
    "What was read and whether it is proved complete: one row per listing of a load, never changed.",
    # For dlt: a package that is loaded a second time, because the first time broke off, replaces its own rows.
    ("run_id", "started_at"),
    (
        RUN_ID,
        TENANT,
        text("location", "Multi-Geo location that was asked for; null where all were."),
        text("object_type", "Service, such as exchange_online; null where all were asked for."),
        text("job_type", "Job type that was asked for; null where all were."),
        time("window_start", "Start of the time range that was asked for."),
        time("window_end", "End of the time range whose jobs the listing holds if it is complete."),
        text("endpoint", "Generation of the endpoint: jobs or cloudbackupjobs."),
        count("page_size", "Jobs asked for on a page.", "jobs"),
        count("requests", "Pages asked for.", "requests"),
        count("retries", "Requests that had to be repeated.", "requests"),
        count("reported_total", "The total that the API gave last.", "jobs"),
        text("total_scope", "What that total counts: matches, page, or absent where the API gave none."),
        count("distinct_jobs", "Different jobs that were read.", "jobs"),
        count("in_progress", "Those of them that had not ended.", "jobs"),
        flag("complete", "Whether it is proved that no job is missing."),
        text("error_kind", "Why the listing failed, as in load_runs; null unless it failed."),
        text("detail", "What went wrong, or why completeness is not proved; null where it is."),
        required(time("started_at", "When reading began.")),
        number("elapsed_seconds", "How long reading took.", "seconds"),
    ),
    append=True,
)

JOB_CHANGES = Table(
    "job_changes",
    "What changed in a job between two loads: one row per job and column, never changed.",
    ("tenant", "id", "changed_at", "column"),
    (
        required(TENANT),
        required(text("id", "The job, as jobs.id.")),
        required(time("changed_at", "When a load read the new value.")),
        required(text("column", "The column that changed, such as state.")),
        text("old", "The value before, as text."),
        text("new", "The value after, as text."),
    ),
    append=True,
)

STATE_WORDS = Table(
    "state_words",
    "What unusual words for a state mean: one row per word.",
    ("word",),
    (
        required(text("word", "The API's word, as in jobs.state.")),
        Column(
            "state",
            "bigint",
            "Code: 1 in progress, 2 finished, 3 failed, 4 finished with exception, 5 partially finished.",
        ),
        time("learned_at", "When a load asked the API for it."),
    ),
)

RECONCILIATIONS = Table(
    "reconciliations",
    "How the warehouse compares with the API's totals: one row per comparison, never changed.",
    # For dlt, as for load_audit. A location may be null, and a period is compared for each location.
    ("run_id", "checked_at"),
    (
        RUN_ID,
        TENANT,
        text("location", "Multi-Geo location that was compared; null where all were."),
        text("kind", "daily, first_load or verify."),
        time("period_start", "Start of the period that was compared."),
        time("period_end", "End of that period."),
        count("api_total", "Jobs that the API counts for the period.", "jobs"),
        count("warehouse_jobs", "Jobs that the warehouse holds for it.", "jobs"),
        flag("proof", "Whether both agree; null where the API's totals cannot tell."),
        text("detail", "What differs, or why there is no proof."),
        required(time("checked_at", "When they were compared.")),
    ),
    append=True,
)

TABLES = (JOBS, BACKUP_DETAILS, JOB_ERRORS, LOAD_AUDIT, JOB_CHANGES, STATE_WORDS, RECONCILIATIONS)
