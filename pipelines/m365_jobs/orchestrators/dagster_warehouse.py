"""Load tenants for Dagster, and read the warehouse afterwards."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import dlt
from avepoint_m365 import Progress

from m365_jobs.config import tenants
from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.explain import explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.locks.pipeline_folder import LOCK_WAIT
from m365_jobs.orchestrators.dlt_log import quiet_dlt
from m365_jobs.waiting import retry_while
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.tenant_scope import open_scope


class DagsterWarehouse:
    """Load tenants into one warehouse, and read it afterwards."""

    def __init__(self, destination: str | None, dataset: str | None) -> None:
        self.destination, self.dataset = destination, dataset

    def load(
        self,
        context: dg.AssetExecutionContext,
        tenant: str,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Summary:
        """Load one tenant as ``m365-jobs load`` does: with its lock, chunks, records and checks.

        Raises:
            Failure: if the tenant is not configured or the load fails; see ``_explained``.
        """
        with _explained(), quiet_dlt():
            # The configuration of this process may lack a tenant for which a run was requested.
            (section,) = tenants.selected([tenant], every=False)
            options = LoadOptions(since, until, self.destination, self.dataset, tenant=section)
            return load(options, Progress(), context.log.info)

    def load_day(self, context: dg.AssetExecutionContext, tenant: str, day: datetime) -> Summary:
        """Load a past day of one tenant.

        Raises:
            Failure: if the load fails, or is not proved complete: no later load reads the day again.
        """
        summary = self.load(context, tenant, day, day + timedelta(days=1))
        if summary.incomplete:
            raise dg.Failure(
                f"Not proved complete: {'; '.join(summary.incomplete)}. The jobs are loaded; a retry reads the day "
                "again.",
                {"kind": "incomplete", "run_id": summary.run_id},
            )
        return summary

    def read(self, tenant: str, query: Callable[[dlt.Pipeline], Any]) -> Any:
        """Return the result of ``query``; wait up to ``LOCK_WAIT`` while a load has the DuckDB file open.

        Raises:
            Failure: if the warehouse cannot be read, or is still in use after that time.
        """
        with _explained(), TemporaryDirectory() as folder:
            pipeline = warehouse.open_pipeline(tenant, self.destination, self.dataset, folder=Path(folder))
            return retry_while(in_use, lambda: query(pipeline), LOCK_WAIT)

    def rows(self, tenant: str, tables: tuple[str, ...]) -> dict[str, int]:
        """Return the number of rows of a tenant in each table."""
        return self._counts(tenant, {name: f"SELECT count(*) AS n FROM {name} AS t" for name in tables})

    def rows_of_day(self, tenant: str, day: datetime, tables: tuple[str, ...]) -> dict[str, int]:
        """Return the number of a tenant's jobs that finished on a day, and of their rows in the other tables."""
        jobs, *children = tables
        joins = {jobs: f"{jobs} AS j"}
        joins |= {name: f"{name} AS t JOIN {jobs} AS j ON j.tenant = t.tenant AND j.id = t.job_id" for name in children}
        of_day = "WHERE j.finish_time >= :since AND j.finish_time < :until"
        queries = {name: f"SELECT count(*) AS n FROM {join} {of_day}" for name, join in joins.items()}
        return self._counts(tenant, queries, since=day, until=day + timedelta(days=1))

    def _counts(self, tenant: str, queries: Mapping[str, str], **values: datetime) -> dict[str, int]:
        def count(pipeline: dlt.Pipeline) -> dict[str, int]:
            with open_scope(pipeline, [tenant]) as scope:
                return {name: scope.rows(sql, **values)[0]["n"] for name, sql in queries.items()}

        counts: dict[str, int] = self.read(tenant, count)
        return counts


@contextmanager
def _explained() -> Iterator[None]:
    """Turn any error into a failure of Dagster with the message of the command line.

    Dagster stores and shows the causes of a failure. Those of dlt are long and may contain secrets; they are left out.

    Raises:
        Failure: for any error; retries are off if they cannot help.
    """
    try:
        yield
    except Exception as error:
        failure = explain(error)
        raise dg.Failure(failure.text, {"kind": failure.kind}, allow_retries=failure.retry_may_help) from None
