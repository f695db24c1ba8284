"""Load tenants for Dagster, and read the warehouse afterwards."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import dlt
from avepoint_m365 import Progress
from dlt.destinations.exceptions import DatabaseException

from m365_jobs.config import tenants
from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.explain import explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.locks.pipeline_folder import LOCK_POLL, LOCK_WAIT
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.tenant_scope import open_scope

NOT_RETRIED = ("config", "auth", "permission")
"""Kinds of failures that a retry cannot cure."""


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
            Failure: if the load fails, with the message of the command line; retries are off for ``NOT_RETRIED``.
        """
        section = tenants.Tenant(tenant, tenant in tenants.configured())
        try:
            options = LoadOptions(since, until, self.destination, self.dataset, tenant=section)
            return load(options, Progress(), context.log.info)
        except Exception as error:
            failure = explain(error)
            retries_help = failure.kind not in NOT_RETRIED
            raise dg.Failure(failure.text, {"kind": failure.kind}, allow_retries=retries_help) from error

    def read(self, tenant: str, query: Callable[[dlt.Pipeline], Any]) -> Any:
        """Return the result of ``query``; wait up to ``LOCK_WAIT`` while a load has the DuckDB file open.

        Raises:
            DatabaseException: if the warehouse cannot be read, or is still in use after that time.
        """
        deadline = time.monotonic() + LOCK_WAIT
        with TemporaryDirectory() as folder:
            pipeline = warehouse.open_pipeline(tenant, self.destination, self.dataset, folder=Path(folder))
            while True:
                try:
                    return query(pipeline)
                except DatabaseException as error:
                    if not in_use(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(LOCK_POLL)

    def rows(self, tenant: str, tables: tuple[str, ...]) -> dict[str, int]:
        """Return the number of rows of a tenant in each table."""

        def count(pipeline: dlt.Pipeline) -> dict[str, int]:
            with open_scope(pipeline, [tenant]) as scope:
                return {name: scope.rows(f"SELECT count(*) AS n FROM {name} AS t")[0]["n"] for name in tables}

        counts: dict[str, int] = self.read(tenant, count)
        return counts
