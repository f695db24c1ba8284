"""Loads as assets of Dagster: ``dagster dev -m m365_jobs.dagster``, or ``definitions()`` in a project of your own.

Needs the extra ``dagster``, so nothing that the command line imports imports this.
"""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import dagster as dg
import dlt
from avepoint_m365 import Progress
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData
from dlt.destinations.exceptions import DatabaseException

from m365_jobs import marts
from m365_jobs.config import tenants
from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.explain import explain
from m365_jobs.health.evaluate import evaluate, partition_label
from m365_jobs.load.run import Options, load
from m365_jobs.load.summary import Summary
from m365_jobs.locks.pipeline_folder import LOCK_POLL, LOCK_WAIT
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.tenant_scope import open_scope

FAMILIES = {
    "jobs": ("jobs", "jobs__backup_details", "jobs__job_errors"),
    "load_records": ("load_audit", "load_runs", "load_check_failures"),
}
"""Asset to its tables, the first of which it is named after or stands for."""

NOT_RETRIED = ("config", "auth", "permission")
"""Kinds of failures that a second try does not mend."""

RETRIES = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))


class Translator(DagsterDltTranslator):
    """Keys, groups and kinds of our assets; override ``get_asset_spec`` for others."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """The asset of a dlt resource that is named after it."""
        spec = super().get_asset_spec(data)
        return spec.replace_attributes(key=["m365_jobs", data.resource.name], group_name="m365_jobs", deps=[])


def definitions(
    destination: str | None = None,
    dataset: str | None = None,
    cron: str = "*/15 * * * *",
    first_day: str | None = None,
    executor: dg.ExecutorDefinition | None = None,
    translator: DagsterDltTranslator | None = None,
    freshness: dg.FreshnessPolicy | None = FRESHNESS,
    retries: dg.RetryPolicy | None = RETRIES,
) -> dg.Definitions:
    """Assets, checks and the schedule of the tenants that dlt's configuration has now.

    ``jobs`` and ``load_records`` load what is new, a partition for each tenant. ``jobs_by_day`` loads a past day (UTC)
    again and leaves the cursors alone; its days begin at ``first_day``, two years back where unset.

    Args:
        destination: Name of any dlt destination; the configuration's, or duckdb, where unset.
        dataset: Dataset in the destination; m365_jobs where unset.
        cron: When each tenant is loaded, in UTC.
        first_day: The first day that can be loaded again, as 2026-01-31.
        executor: What runs the loads; Dagster's own, a process for each, where unset.
        translator: Makes the assets' keys, groups and kinds.
        freshness: How old the newest load may be, of whichever tenant; goes with ``cron``. None: any age.
        retries: Whether and when a load that failed is tried again, where that may help. None: never.

    Raises:
        UsageError: for a destination that is not known.
    """
    names = list(map(partition_of, tenants.configured() or [warehouse.configured_tenant()]))
    by_tenant = dg.StaticPartitionsDefinition(names)
    place = Place(destination, dataset)
    specs = Specs(place, translator or Translator())
    new = _new_jobs(place, specs, by_tenant, freshness, retries)
    past = _past_days(place, specs, by_tenant, first_day or f"{datetime.now(UTC).year - 2}-01-01", retries)
    job = dg.define_asset_job("load", dg.AssetSelection.assets(new))

    @dg.schedule(job=job, cron_schedule=cron, execution_timezone="UTC")
    def load_schedule() -> list[dg.RunRequest]:
        return [dg.RunRequest(run_key=name, partition_key=name) for name in names]

    return dg.Definitions(
        assets=[new, past, *specs.views()],
        jobs=[job],
        schedules=[load_schedule],
        executor=executor,
    )


def partition_of(tenant: str) -> str:
    """A tenant's name as the key of a partition: signs that Dagster refuses there are written as in a web address."""
    return re.sub(r"[%|,\[\]\x00-\x1f]|\.{3}", lambda found: "".join(f"%{ord(one):02X}" for one in found[0]), tenant)


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster finds in this module."""
    return definitions()


class Place:
    """Where loads go, and what the warehouse there says afterwards."""

    def __init__(self, destination: str | None, dataset: str | None) -> None:
        self.destination, self.dataset = destination, dataset

    def load(
        self,
        context: dg.AssetExecutionContext,
        tenant: str,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Summary:
        """Loads one tenant as ``m365-jobs load`` does: with its lock, chunks, records and checks.

        Raises:
            Failure: with the paragraph that the command line prints; not to be retried where that is no use.
        """
        own = tenants.Tenant(tenant, tenant in tenants.configured())
        try:
            options = Options(since, until, self.destination, self.dataset, tenant=own)
            return load(options, Progress(), context.log.info)
        except Exception as error:
            why = explain(error)
            raise dg.Failure(why.text, {"kind": why.kind}, allow_retries=why.kind not in NOT_RETRIED) from error

    def ask(self, tenant: str, question: Callable[[dlt.Pipeline], Any]) -> Any:
        """The answer of the warehouse, which is waited for while another load has a DuckDB file open."""
        give_up = time.monotonic() + LOCK_WAIT
        with TemporaryDirectory() as folder:
            pipeline = warehouse.open_pipeline(tenant, self.destination, self.dataset, folder=Path(folder))
            while True:
                try:
                    return question(pipeline)
                except DatabaseException as error:
                    if not in_use(error) or time.monotonic() > give_up:
                        raise
                    time.sleep(LOCK_POLL)

    def rows(self, tenant: str, tables: tuple[str, ...]) -> dict[str, int]:
        """How many rows of a tenant each table holds."""

        def count(pipeline: dlt.Pipeline) -> dict[str, int]:
            with open_scope(pipeline, [tenant]) as scope:
                return {name: scope.rows(f"SELECT count(*) AS n FROM {name} AS t")[0]["n"] for name in tables}

        counts: dict[str, int] = self.ask(tenant, count)
        return counts


class Specs:
    """What Dagster shows of the assets before they are loaded."""

    def __init__(self, place: Place, translator: DagsterDltTranslator) -> None:
        with TemporaryDirectory() as folder:
            self._pipeline = warehouse.open_pipeline(
                warehouse.configured_tenant(), place.destination, place.dataset, folder=Path(folder)
            )
        self._translator = translator

    def table(self, name: str, relations: tuple[marts.Relation, ...], **more: Any) -> dg.AssetSpec:
        """An asset with the columns of its tables or its view."""
        resource: Any = dlt.resource([], name=name)
        spec = self._translator.get_asset_spec(DltResourceTranslatorData(resource=resource, pipeline=self._pipeline))
        first, *others = map(_columns, relations)
        columns: dict[str, Any] = {"dagster/column_schema": first}
        columns |= {one.name: schema for one, schema in zip(relations[1:], others, strict=True)}
        about = " ".join(f"{one.name}: {one.about}" for one in relations)
        return spec.replace_attributes(description=about, **more).merge_attributes(metadata=columns)

    def family(self, name: str, **more: Any) -> dg.AssetSpec:
        """The asset of a family of tables."""
        by_name = {one.name: one for one in marts.tables()}
        return self.table(name, tuple(by_name[table] for table in FAMILIES[name.removesuffix("_by_day")]), **more)

    def views(self) -> Iterator[dg.AssetSpec]:
        """The views, which are live: they show what was loaded, and are never materialised themselves."""
        sources = [self.family(name).key for name in FAMILIES]
        for view in marts.views():
            yield self.table(view.name, (view,), deps=sources)


def _columns(relation: marts.Relation) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(one.name, one.type, one.description) for one in relation.columns])


def _new_jobs(
    place: Place,
    specs: Specs,
    by_tenant: dg.StaticPartitionsDefinition,
    freshness: dg.FreshnessPolicy | None,
    retries: dg.RetryPolicy | None,
) -> dg.AssetsDefinition:
    families = [specs.family(name, freshness_policy=freshness) for name in FAMILIES]
    jobs, records = (one.key for one in families)

    @dg.multi_asset(
        name="load_new",
        specs=families,
        check_specs=_check_specs(jobs, by_tenant),
        partitions_def=by_tenant,
        retry_policy=retries,
    )
    def load_new(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        tenant = unquote(context.partition_key)
        summary = place.load(context, tenant)
        yield dg.MaterializeResult(
            asset_key=jobs,
            metadata=_metadata(summary, place.rows(tenant, FAMILIES["jobs"])),
            check_results=_checked(place, summary),
        )
        yield dg.MaterializeResult(
            asset_key=records, metadata=_metadata(summary, place.rows(tenant, FAMILIES["load_records"]))
        )

    return load_new


def _past_days(
    place: Place,
    specs: Specs,
    by_tenant: dg.StaticPartitionsDefinition,
    first_day: str,
    retries: dg.RetryPolicy | None,
) -> dg.AssetsDefinition:
    days = dg.DailyPartitionsDefinition(first_day)
    spec = specs.family("jobs_by_day")

    @dg.multi_asset(
        name="load_day",
        specs=[spec],
        partitions_def=dg.MultiPartitionsDefinition({"day": days, "tenant": by_tenant}),
        retry_policy=retries,
    )
    def load_day(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        key: Any = context.partition_key
        tenant, day = unquote(key.keys_by_dimension["tenant"]), key.keys_by_dimension["day"]
        since = datetime.fromisoformat(day).replace(tzinfo=UTC)
        summary = place.load(context, tenant, since, since + timedelta(days=1))
        yield dg.MaterializeResult(
            asset_key=spec.key, metadata=_metadata(summary, place.rows(tenant, FAMILIES["jobs"]))
        )

    return load_day


def _metadata(summary: Summary, rows: Mapping[str, int]) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": next(iter(rows.values())),
        **{f"rows of {name}": count for name, count in rows.items()},
        "run_id": summary.run_id,
        "new": summary.new,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "requests": summary.requests,
        "retries": summary.retries,
        "complete": not summary.incomplete,
        "not proved complete": summary.incomplete,
        "seconds": summary.seconds,
        "warehouse": summary.warehouse,
    }


CHECKS = {
    "complete": "Every partition that was read is proved complete.",
    "data": "Nothing is wrong with the jobs that were loaded: keys, counts, times.",
    "health": "Every service of the tenant is protected, as m365-jobs health judges it.",
}


def _check_specs(jobs: dg.AssetKey, by_tenant: dg.StaticPartitionsDefinition) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Without partitions of their own, the checks of one tenant would hide those of all others.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=jobs, description=about, partitions_def=by_tenant)
            for name, about in CHECKS.items()
        ]


def _checked(place: Place, summary: Summary) -> list[dg.AssetCheckResult]:
    health = place.ask(summary.tenant, lambda pipeline: evaluate(pipeline, [summary.tenant]))
    wrong = {
        "complete": summary.incomplete,
        "data": summary.findings,
        "health": [
            ": ".join(filter(None, (one.kind, partition_label(one.tenant, one.location, one.object_type), one.text)))
            for one in health.problems
        ],
    }
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not found,
            # What is not proved complete is read again by the next load.
            severity=dg.AssetCheckSeverity.WARN if name == "complete" else dg.AssetCheckSeverity.ERROR,
            description="; ".join(found)[:1000] or None,
            metadata={"found": found},
        )
        for name, found in wrong.items()
    ]
