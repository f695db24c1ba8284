"""Read the rows of a tenant from a DuckDB file in the form in which the source yields them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365 import schema as tables
from avepoint_m365.companions.columns import keeps_history
from avepoint_m365.companions.schema import TABLES as COMPANION_TABLES
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs import schema
from m365_jobs.load import data_checks, run_log
from m365_jobs.load.companions import ROW_HASH, companion_rows
from m365_jobs.schema import SCHEMA
from m365_jobs.warehouse.reader import open_reader

Row = TypeVar("Row")

BATCH = 50_000
"""The most rows that are in memory at once."""

CHILDREN = (tables.BACKUP_DETAILS, tables.JOB_ERRORS)

KEYS: dict[str, tuple[str, ...]] = {
    # Chunks of one run may be copied at different times.
    "load_audit": ("run_id", "started_at"),
    "load_runs": ("run_id",),
    "load_check_failures": ("run_id",),
    "reconciliations": ("run_id",),
}
"""Columns that identify rows of log tables; rows with the same key were written together, and are copied together."""

MARKERS = """
SELECT tenant, id AS job_id, CAST(-1 AS BIGINT) AS error_index, true AS {removed} FROM jobs j
WHERE tenant = $tenant AND NOT EXISTS (
    SELECT 1 FROM jobs__job_errors e WHERE e.tenant = j.tenant AND e.job_id = j.id)
"""


def table_names(connection: duckdb.DuckDBPyConnection, dataset: str) -> set[str]:
    """Return the names of the tables of a dataset."""
    query = "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?"
    return {row[0] for row in connection.execute(query, [dataset]).fetchall()}


def read_only(file: Path, dataset: str) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file for reading, in UTC and inside the dataset if it exists."""
    connection = duckdb.connect(str(file), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    if dataset in {row[0] for row in connection.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()}:
        connection.execute(f'USE "{dataset}"')
    return connection


@dataclass(frozen=True)
class StoredRows:
    """Hold the keys of a tenant's appended rows at the destination, by table, and whether it has job errors."""

    keys: dict[str, pa.Table]
    errors: bool


def stored_rows(pipeline: dlt.Pipeline, tenant: str) -> StoredRows:
    """Return the keys of a tenant's rows at the destination."""
    with open_reader(pipeline) as reader:

        def distinct(name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
            sql = f"SELECT DISTINCT {', '.join(columns)} FROM {reader.table(name)} WHERE tenant = %s"
            try:
                return list(reader.rows(sql, tenant))
            except DestinationUndefinedEntity:
                return []

        keys = {}
        for name, key in KEYS.items():
            key_schema = pa.schema([schema.table(name).arrow.field(column) for column in key])
            keys[name] = pa.Table.from_pylist(distinct(name, key), schema=key_schema)
        return StoredRows(keys, bool(distinct("jobs__job_errors", ["tenant"])))


def run_ids(connection: duckdb.DuckDBPyConnection, tenant: str) -> set[str]:
    """Return the ids of the loads of a tenant that wrote to ``load_audit``."""
    query = "SELECT DISTINCT run_id FROM load_audit WHERE tenant = ?"
    return {row[0] for row in connection.execute(query, [tenant]).fetchall()}


class TenantRows:
    """Yield the rows of one tenant and its state, in the form in which the source gives them to dlt."""

    def __init__(
        self, file: Path, dataset: str, tenant: str, tables_here: set[str], stored: StoredRows, is_lake: bool
    ) -> None:
        self._file, self._dataset, self._tenant, self._is_lake = file, dataset, tenant, is_lake
        self._tables, self._stored = tables_here, stored
        self.counted = {table.name: 0 for table in schema.TABLES}

    def source(self, state: dict[str, Any]) -> Any:
        """Return a source with the name of ``avepoint_m365``, so that dlt stores its state under that name."""

        def rows() -> Iterator[Any]:
            current = dlt.current.source_state()
            current.clear()
            current.update(deepcopy(state))
            for table in (self._jobs(), *CHILDREN, tables.JOB_CHANGES):
                yield from self._counted(table, f"SELECT * FROM {table.name} WHERE tenant = $tenant")
            if self._stored.errors and {"jobs", "jobs__job_errors"} <= self._tables:
                # An earlier copy may have left errors at the destination that the file no longer has.
                yield from self._batches(tables.JOB_ERRORS, MARKERS.format(removed=tables.REMOVED))
            yield from self._counted(tables.STATE_WORDS, "SELECT * FROM state_words WHERE $tenant IS NOT NULL")
            for table in (tables.LOAD_AUDIT, tables.RECONCILIATIONS):
                yield from self._counted(table, self._appended(table.name))

        @dlt.source(name=SCHEMA)
        def avepoint_m365() -> Any:
            # Runs and failures are objects, as in a load: dlt gives columns of Arrow tables other types.
            runs = self._objects(schema.LOAD_RUNS, run_log.LoadRun)
            failures = self._objects(schema.LOAD_CHECK_FAILURES, data_checks.CheckFailure)
            return (
                dlt.resource(rows, name="copy"),
                run_log.runs_resource(iter(runs)),
                data_checks.failures_resource(failures),
                *(companion_rows(table, self._companion(table), self._is_lake) for table in COMPANION_TABLES),
            )

        return avepoint_m365()

    def _appended(self, name: str) -> str:
        """Return a query for the rows of an appended table that the destination lacks."""
        key = ", ".join(KEYS[name])
        return f"SELECT * FROM {name} ANTI JOIN stored_keys USING ({key}) WHERE tenant = $tenant"

    def _objects(self, table: tables.Table, kind: Callable[..., Row]) -> list[Row]:
        """Return these rows as objects; None if an older version of this program did not write a column."""
        if table.name not in self._tables:
            return []
        with read_only(self._file, self._dataset) as connection:
            connection.register("stored_keys", self._stored.keys[table.name])
            rows = connection.sql(self._appended(table.name), params={"tenant": self._tenant}).to_arrow_table()
        self.counted[table.name] = rows.num_rows
        return [kind(**{column: row.get(column) for column in table.names}) for row in rows.to_pylist()]

    def _companion(self, table: tables.Table) -> list[dict[str, Any]]:
        """Return the rows of a companion's table; rows with versions have dlt's hash, which identifies a version."""
        if table.name not in self._tables:
            return []
        condition = "tenant = $tenant" if "tenant" in table.names else "$tenant IS NOT NULL"
        with read_only(self._file, self._dataset) as connection:
            sql = f"SELECT * FROM {table.name} WHERE {condition}"
            rows = connection.sql(sql, params={"tenant": self._tenant}).to_arrow_table().to_pylist()
        self.counted[table.name] = len(rows)
        names = (*table.names, *((ROW_HASH,) if keeps_history(table) else ()))
        return [{name: row.get(name) for name in names} for row in rows]

    def _jobs(self) -> tables.Table:
        if "jobs" not in self._tables:
            return tables.JOBS
        with read_only(self._file, self._dataset) as connection:
            names = [column[0] for column in connection.execute("DESCRIBE jobs").fetchall()]
        return tables.JOBS_WITH_UNKNOWN if tables.UNKNOWN_FIELDS in names else tables.JOBS

    def _counted(self, table: tables.Table, sql: str) -> Iterator[Any]:
        # An empty table creates the table if it has no rows.
        yield dlt.mark.with_hints(table.arrow.empty_table(), table.resource_hints, create_table_variant=True)
        if table.name not in self._tables:
            return
        for rows in self._batches(table, sql):
            self.counted[table.name] += rows.data.num_rows
            yield rows

    def _batches(self, table: tables.Table, sql: str) -> Iterator[Any]:
        is_errors = table is tables.JOB_ERRORS
        with read_only(self._file, self._dataset) as connection:
            if table.name in KEYS:
                connection.register("stored_keys", self._stored.keys[table.name])
            stored = connection.sql(sql, params={"tenant": self._tenant})
            if is_errors:
                stored = stored.order("job_id")
            batches = (_cast(batch, table.arrow) for batch in stored.to_arrow_reader(BATCH))
            # A lake deletes by all errors of a job, so they must be in one batch.
            for rows in _by_whole_jobs(batches) if is_errors else batches:
                yield dlt.mark.with_hints(rows, table.resource_hints, create_table_variant=True)


def _by_whole_jobs(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows, which are sorted by ``job_id``, in batches that split no job."""
    rest: pa.Table | None = None
    for batch in batches:
        rows = pa.concat_tables([rest, batch]) if rest else batch
        last = pc.index(rows["job_id"], rows["job_id"][-1]).as_py() if rows.num_rows else 0
        rest = rows.slice(last)
        if last:
            yield rows.slice(0, last)
    if rest:
        yield rest


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema``; null if an older version of this program did not write one."""
    stored = batch.schema.names
    columns = [
        batch.column(field.name) if field.name in stored else pa.nulls(batch.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)
