"""Define loads as assets of Dagster: ``dagster dev -m m365_jobs.dagster``, or ``definitions()`` in your own project.

It needs the extra ``dagster``, so the command line does not import it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import dagster as dg
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from m365_jobs.config import tenants
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.load.summary import Summary
from m365_jobs.orchestrators.dagster_checks import check_results, check_specs
from m365_jobs.orchestrators.dagster_specs import FAMILIES, AssetSpecs
from m365_jobs.orchestrators.dagster_warehouse import DagsterWarehouse

RETRIES = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))


class Translator(DagsterDltTranslator):
    """Translate our assets to keys, groups and kinds; override ``get_asset_spec`` for others."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """Return the asset of a dlt resource that is named after it."""
        spec = super().get_asset_spec(data)
        return spec.replace_attributes(key=["m365_jobs", data.resource.name], group_name="m365_jobs", deps=[])


def definitions(  # noqa: PLR0913 - a project names what it changes
    destination: str | None = None,
    dataset: str | None = None,
    cron: str = "*/15 * * * *",
    first_day: str | None = None,
    executor: dg.ExecutorDefinition | None = None,
    translator: DagsterDltTranslator | None = None,
    freshness: dg.FreshnessPolicy | None = FRESHNESS,
    retries: dg.RetryPolicy | None = RETRIES,
) -> dg.Definitions:
    """Return assets, checks and the schedule of the tenants in dlt's configuration.

    ``jobs`` and ``load_records`` load new jobs, with one partition for each tenant. ``jobs_by_day`` loads a past day
    (UTC) again and leaves the cursors alone.

    Args:
        destination: Name of any dlt destination; that of the configuration, or duckdb, if unset.
        dataset: Dataset in the destination; m365_jobs if unset.
        cron: The schedule of each tenant's loads, in UTC.
        first_day: The first day of ``jobs_by_day``, such as 2026-01-31; 1 January two years ago if unset.
        executor: The executor of the loads; Dagster's default, a process for each, if unset.
        translator: Makes the keys, groups and kinds of the assets.
        freshness: The allowed age of the newest load of any tenant, which must fit ``cron``; None for any age.
        retries: The policy for loads that failed, if a retry may help; None for no retry.

    Raises:
        UsageError: for an unknown destination.
    """
    names = list(map(partition_of, tenants.configured() or [configured_tenant()]))
    by_tenant = dg.StaticPartitionsDefinition(names)
    place = DagsterWarehouse(destination, dataset)
    specs = AssetSpecs(place, translator or Translator())
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
    """Return the key of a tenant's partition: its name with percent-encoding for characters that Dagster refuses."""
    return re.sub(
        r"[%|,\[\]\x00-\x1f]|\.{3}", lambda match: "".join(f"%{ord(letter):02X}" for letter in match[0]), tenant
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that Dagster finds in this module."""
    return definitions()


def _new_jobs(
    place: DagsterWarehouse,
    specs: AssetSpecs,
    by_tenant: dg.StaticPartitionsDefinition,
    freshness: dg.FreshnessPolicy | None,
    retries: dg.RetryPolicy | None,
) -> dg.AssetsDefinition:
    families = [specs.family(name, freshness_policy=freshness) for name in FAMILIES]
    jobs, records = (spec.key for spec in families)

    @dg.multi_asset(
        name="load_new",
        specs=families,
        check_specs=check_specs(jobs, by_tenant),
        partitions_def=by_tenant,
        retry_policy=retries,
    )
    def load_new(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        tenant = unquote(context.partition_key)
        summary = place.load(context, tenant)
        yield dg.MaterializeResult(
            asset_key=jobs,
            metadata=_metadata(summary, place.rows(tenant, FAMILIES["jobs"])),
            check_results=check_results(place, summary),
        )
        yield dg.MaterializeResult(
            asset_key=records, metadata=_metadata(summary, place.rows(tenant, FAMILIES["load_records"]))
        )

    return load_new


def _past_days(
    place: DagsterWarehouse,
    specs: AssetSpecs,
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
        tenant = unquote(key.keys_by_dimension["tenant"])
        day = datetime.fromisoformat(key.keys_by_dimension["day"]).replace(tzinfo=UTC)
        summary = place.load_day(context, tenant, day)
        rows = place.rows_of_day(tenant, day, FAMILIES["jobs"])
        yield dg.MaterializeResult(asset_key=spec.key, metadata=_metadata(summary, rows))

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
