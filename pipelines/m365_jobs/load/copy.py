"""Moving to a bigger destination: all rows and cursors of a DuckDB warehouse, copied, so that loads go on there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365 import schema as tables
from avepoint_m365.parse.values import TIME
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs import schema
from m365_jobs.errors.explain import UsageError, WarehouseError
from m365_jobs.load import data_checks, run_log
from m365_jobs.locks.base import lease_of
from m365_jobs.locks.pipeline_folder import LOCK_WAIT, folder_lock, writing_turn
from m365_jobs.warehouse import contract
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import open_reader

Row = TypeVar("Row")

BATCH = 50_000
"""Rows that are in memory at once."""

CHILDREN = (tables.BACKUP_DETAILS, tables.JOB_ERRORS)
KEYS: dict[str, pa.Schema] = {
    # Slices of one run may be exported at different times.
    "load_audit": pa.schema([("run_id", pa.string()), ("started_at", TIME)]),
    "load_runs": pa.schema([("run_id", pa.string())]),
    "load_check_failures": pa.schema([("run_id", pa.string())]),
    "reconciliations": pa.schema([("run_id", pa.string())]),
}
"""By what appended rows are known again; those that share a key are written at once."""

MARKERS = """
SELECT tenant, id AS job_id, CAST(-1 AS BIGINT) AS error_index, true AS {removed} FROM jobs j
WHERE tenant = $tenant AND NOT EXISTS (
    SELECT 1 FROM jobs__job_errors e WHERE e.tenant = j.tenant AND e.job_id = j.id)
"""


@dataclass
class Exported:
    """What was copied: where to, and the rows of each table by tenant."""

    warehouse: str
    rows: dict[str, dict[str, int]] = field(default_factory=dict)


def export(destination: str, dataset: str | None, say: Callable[[str], None], tenants: Sequence[str] = ()) -> Exported:
    """Copies the DuckDB warehouse of this configuration, tenant by tenant (all where none is named), each with its
    cursors in one load package: they arrive there together or not at all. Run again, it copies again what is not there
    as it is here.

    Raises:
        UsageError: where there is no DuckDB warehouse, it is the destination itself, or does not hold a tenant.
        WarehouseError: where the destination has loads of its own, whose cursors would be taken back.
    """
    origin = warehouse.open_warehouse("duckdb")
    target = warehouse.open_warehouse(destination, dataset)
    file = warehouse.duckdb_file(origin)
    if file is None or not file.exists():
        raise UsageError(f"There is no DuckDB warehouse to copy: {file or 'the configured one'} is not a file.")
    if warehouse.fingerprint(origin) == warehouse.fingerprint(target):
        raise UsageError(f"The warehouse is already there: {warehouse.location(target)}. Name another destination.")
    done = Exported(warehouse.location(target))
    held = _tenants(file, origin.dataset_name)
    for tenant in tenants:
        if tenant not in held:
            raise UsageError(f"The warehouse holds nothing of tenant {tenant!r}.")
    for tenant in dict.fromkeys(tenants) or held:
        # As a load of the tenant would: neither the file nor the destination is loaded into meanwhile.
        with folder_lock(warehouse.pipeline_name(tenant), None, say):
            _say_what_stays_here(tenant, say)
            # The state before the rows: a cursor must never be ahead of them.
            state = _state(tenant, file, origin.dataset_name)
            say(f"Copying tenant {tenant} to {done.warehouse}.")
            done.rows[tenant] = _copy(tenant, state, file, origin.dataset_name, destination, dataset, say)
    return done


def _say_what_stays_here(tenant: str, say: Callable[[str], None]) -> None:
    # dlt may have been killed while it made the folders that this looks into.
    with suppress(FileNotFoundError):
        if warehouse.open_pipeline(tenant, "duckdb").has_pending_data:
            say(
                f"A load of tenant {tenant} was interrupted; what it left unfinished is not copied. Run it again, then "
                "copy again."
            )


def _tenants(file: Path, dataset: str) -> list[str]:
    with _read(file, dataset) as connection:
        # A first load in slices writes jobs before it has a run; one that failed at once has a run and no jobs.
        asked = [name for name in ("jobs", "load_runs") if name in _tables(connection, dataset)]
        if not asked:
            raise UsageError(f"{file} holds no dataset {dataset} of this program; there is nothing to copy.")
        found = " UNION ".join(f"SELECT tenant FROM {name}" for name in asked)
        return [row[0] for row in connection.execute(f"{found} ORDER BY tenant").fetchall()]


def _tables(connection: duckdb.DuckDBPyConnection, dataset: str) -> set[str]:
    found = "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?"
    return {row[0] for row in connection.execute(found, [dataset]).fetchall()}


def _read(file: Path, dataset: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(file), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    if dataset in {row[0] for row in connection.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()}:
        connection.execute(f'USE "{dataset}"')
    return connection


def _folder(name: str) -> Path:
    """Where the export's pipelines work: not where loads do, since what these left unfinished must not be copied."""
    return Path(dlt.current.run_context().get_data_entity("pipelines")) / f"{warehouse.PIPELINE}_export_{name}"


def _state(tenant: str, file: Path, dataset: str) -> dict[str, Any]:
    """What dlt keeps of our source for a tenant, cursors included, from the warehouse itself."""
    credentials: Any = {"database": str(file), "read_only": True}
    pipeline = dlt.pipeline(
        warehouse.pipeline_name(tenant),
        pipelines_dir=str(_folder("from")),
        destination=dlt.destinations.duckdb(credentials=credentials),
        dataset_name=dataset,
    )
    pipeline.drop()
    pipeline.sync_destination()
    state = deepcopy(dict(pipeline.state.get("sources", {}).get(contract.SCHEMA, {})))
    pipeline.drop()
    return state


def _copy(
    tenant: str,
    state: dict[str, Any],
    file: Path,
    dataset: str,
    destination: str,
    target_dataset: str | None,
    say: Callable[[str], None],
) -> dict[str, int]:
    pipeline = warehouse.open_pipeline(tenant, destination, target_dataset, folder=_folder("to"))
    pipeline.drop()
    with lease_of(pipeline, tenant, "export", say) as lease:
        lease.take(None, LOCK_WAIT, say)
        with writing_turn(pipeline, lease, say):
            pipeline.sync_destination()
            contract.ensure_ours(pipeline)
        there = _there(pipeline, tenant)
        # Held open, so that no load writes to the file meanwhile.
        with _read(file, dataset) as connection:
            tables_here = _tables(connection, dataset)
            ours = _run_ids(connection, tenant) if "load_audit" in tables_here else set()
            _ensure_no_loads_of_its_own(ours, tenant, there, warehouse.location(pipeline))
            rows = _Rows(file, dataset, tenant, tables_here, there)
            source = contract.prepare(rows.source(state), pipeline)
            pipeline.extract(source, loader_file_format=contract.file_format(pipeline))
        pipeline.normalize()
        with writing_turn(pipeline, lease, say):
            pipeline.load()
            contract.finish(pipeline, tenant, say)
    pipeline.drop()
    return rows.counted


@dataclass(frozen=True)
class _There:
    """What the destination has of a tenant: keys of appended rows by table, and whether there are errors."""

    keys: dict[str, pa.Table]
    errors: bool


def _there(pipeline: dlt.Pipeline, tenant: str) -> _There:
    with open_reader(pipeline) as reader:

        def distinct(name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
            sql = f"SELECT DISTINCT {', '.join(columns)} FROM {reader.table(name)} WHERE tenant = %s"
            try:
                return list(reader.rows(sql, tenant))
            except DestinationUndefinedEntity:
                return []

        return _There(
            {name: pa.Table.from_pylist(distinct(name, key.names), schema=key) for name, key in KEYS.items()},
            bool(distinct("jobs__job_errors", ["tenant"])),
        )


def _run_ids(connection: duckdb.DuckDBPyConnection, tenant: str) -> set[str]:
    found = "SELECT DISTINCT run_id FROM load_audit WHERE tenant = ?"
    return {row[0] for row in connection.execute(found, [tenant]).fetchall()}


def _ensure_no_loads_of_its_own(ours: set[str], tenant: str, there: _There, where: str) -> None:
    # Not by load_runs: a load that failed before it loaded anything is there, one killed between slices is not.
    if others := set(there.keys["load_audit"]["run_id"].to_pylist()) - ours:
        raise WarehouseError(
            f"{where} has {len(others)} loads of tenant {tenant} that this warehouse knows nothing of: loads go on "
            "there already. Copying again would take its jobs and cursors back; nothing was copied. Load there, or "
            "copy into another dataset with --dataset."
        )


class _Rows:
    """The rows of one tenant, and its state, as the source itself would hand them to dlt."""

    def __init__(self, file: Path, dataset: str, tenant: str, tables_here: set[str], there: _There) -> None:
        self._file, self._dataset, self._tenant = file, dataset, tenant
        self._tables, self._there = tables_here, there
        self.counted = {table.name: 0 for table in schema.TABLES}

    def source(self, state: dict[str, Any]) -> Any:
        """Return a source under the name of ours, so that dlt keeps its state as ours."""

        def rows() -> Iterator[Any]:
            kept = dlt.current.source_state()
            kept.clear()
            kept.update(deepcopy(state))
            for table in (self._jobs(), *CHILDREN, tables.JOB_CHANGES):
                yield from self._counted(table, f"SELECT * FROM {table.name} WHERE tenant = $tenant")
            if self._there.errors and {"jobs", "jobs__job_errors"} <= self._tables:
                # An earlier copy may have left errors there that are gone here.
                yield from self._batches(tables.JOB_ERRORS, MARKERS.format(removed=tables.REMOVED))
            yield from self._counted(tables.STATE_WORDS, "SELECT * FROM state_words WHERE $tenant IS NOT NULL")
            for table in (tables.LOAD_AUDIT, tables.RECONCILIATIONS):
                yield from self._counted(table, self._appended(table.name))

        @dlt.source(name=contract.SCHEMA)
        def avepoint_m365() -> Any:
            # The last two by the load's own resources: dlt takes a column of Arrow for another than one of objects.
            runs = self._objects(schema.LOAD_RUNS, run_log.Run)
            failures = self._objects(schema.LOAD_CHECK_FAILURES, data_checks.Finding)
            return dlt.resource(rows, name="export"), run_log.resource(iter(runs)), data_checks.resource(failures)

        return avepoint_m365()

    def _appended(self, name: str) -> str:
        """A query for the rows of a table that loads append to, less those that are there."""
        key = ", ".join(KEYS[name].names)
        return f"SELECT * FROM {name} ANTI JOIN there USING ({key}) WHERE tenant = $tenant"

    def _objects(self, table: tables.Table, kind: Callable[..., Row]) -> list[Row]:
        """Return the same as objects; None where an older version of this program did not write a column."""
        if table.name not in self._tables:
            return []
        with _read(self._file, self._dataset) as connection:
            connection.register("there", self._there.keys[table.name])
            found = connection.sql(self._appended(table.name), params={"tenant": self._tenant}).to_arrow_table()
        self.counted[table.name] = found.num_rows
        return [kind(**{column: row.get(column) for column in table.names}) for row in found.to_pylist()]

    def _jobs(self) -> tables.Table:
        if "jobs" not in self._tables:
            return tables.JOBS
        with _read(self._file, self._dataset) as connection:
            names = [column[0] for column in connection.execute("DESCRIBE jobs").fetchall()]
        return tables.JOBS_WITH_UNKNOWN if tables.UNKNOWN_FIELDS in names else tables.JOBS

    def _counted(self, table: tables.Table, sql: str) -> Iterator[Any]:
        # So that the table is there even where it has no row.
        yield dlt.mark.with_hints(table.arrow.empty_table(), table.resource_hints, create_table_variant=True)
        if table.name not in self._tables:
            return
        for rows in self._batches(table, sql):
            self.counted[table.name] += rows.data.num_rows
            yield rows

    def _batches(self, table: tables.Table, sql: str) -> Iterator[Any]:
        of_errors = table is tables.JOB_ERRORS
        with _read(self._file, self._dataset) as connection:
            if table.name in KEYS:
                connection.register("there", self._there.keys[table.name])
            found = connection.sql(sql, params={"tenant": self._tenant})
            if of_errors:
                found = found.order("job_id")
            batches = (_fitted(batch, table.arrow) for batch in found.to_arrow_reader(BATCH))
            # A lake is told what to delete by all errors of a job at once.
            for rows in _by_whole_jobs(batches) if of_errors else batches:
                yield dlt.mark.with_hints(rows, table.resource_hints, create_table_variant=True)


def _by_whole_jobs(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, which are in the order of their ``job_id``, with no job in two batches."""
    rest: pa.Table | None = None
    for batch in batches:
        rows = pa.concat_tables([rest, batch]) if rest else batch
        last = pc.index(rows["job_id"], rows["job_id"][-1]).as_py() if rows.num_rows else 0
        rest = rows.slice(last)
        if last:
            yield rows.slice(0, last)
    if rest:
        yield rest


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema``; null where an older version of this program did not write one."""
    there = batch.schema.names
    columns = [batch.column(one.name) if one.name in there else pa.nulls(batch.num_rows, one.type) for one in schema]
    return pa.table(columns, names=schema.names).cast(schema)
