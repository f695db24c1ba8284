"""Run the tasks of an Airflow DAG; ``m365_jobs.airflow`` imports this module when they run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import dlt
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from avepoint_m365 import Progress
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import SourceError
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.extract.incremental.context import TimeIntervalContext

from m365_jobs.config.tenants import configured, selected
from m365_jobs.errors.explain import explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.locks.base import TenantLockedError
from m365_jobs.orchestrators.dlt_log import quiet_dlt
from m365_jobs.warehouse.pipeline import telemetry_off

logger = logging.getLogger(__name__)


def units(tenants: Sequence[str], split: str) -> list[dict[str, str]]:
    """Return the units to load: the named tenants, or all; with ``split="locations"``, each of their locations.

    Raises:
        AirflowFailException: if the configuration is invalid.
    """
    with _explained():
        telemetry_off()
        to_load = selected(tenants, every=not tenants and bool(configured()))
        if split == "tenants":
            return [{"tenant": tenant.name} for tenant in to_load]
        shared = dlt.config.get(f"{SECTION}.locations", list)
        units: list[dict[str, str]] = []
        for tenant in to_load:
            try:
                # A tenant may have an empty list of its own.
                locations = tenant.settings.get("locations", shared) or ()
            except (SourceError, ConfigurationException):
                locations = ()  # The section is invalid: the task of this tenant reports it and fails alone.
            by_location = [{"tenant": tenant.name, "location": location} for location in locations]
            units += by_location or [{"tenant": tenant.name}]
        return units


def interval(context: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return the data interval of a run.

    Raises:
        AirflowFailException: if it is missing or empty.
    """
    start, end = context["data_interval_start"], context["data_interval_end"]
    if not start or not end or start >= end:
        raise AirflowFailException(
            f"Empty interval: the data interval of this run is empty ({start} to {end}). Set a cron expression as the "
            "DAG's schedule, or a timetable with data intervals such as CronDataIntervalTimetable."
        )
    return start, end


def load_unit(
    unit: dict[str, str], options: LoadOptions, interval: tuple[datetime, datetime] | None = None
) -> dict[str, Any]:
    """Load a tenant or a location of it; the returned value becomes the task's XCom.

    Raises:
        AirflowException: if the load fails, or is not proved complete, with the message of the command line.
        AirflowFailException: if the configuration, a credential or a permission is wrong: a retry cannot help.
        AirflowSkipException: if another worker loads the tenant, or has loaded it within ``options.min_age``.
    """
    with _explained(), quiet_dlt(), ExitStack() as stack:
        (options.tenant,) = selected([unit["tenant"]], every=False)
        if "location" in unit:
            options.source["locations"] = [unit["location"]]
        if interval:
            # dlt would shorten an interval that begins before start_date.
            options.source["start_date"] = interval[0].isoformat()
            scheduler = TimeIntervalContext(interval, allow_external_schedulers=True)
            stack.enter_context(Container().injectable_context(scheduler))
        try:
            summary = load(options, Progress(), logger.info)
        except TenantLockedError as error:
            if options.min_age is None:
                raise
            raise AirflowSkipException(str(error)) from None
    if summary.incomplete:
        raise AirflowException(
            f"Not proved complete: {'; '.join(summary.incomplete)}. The jobs are loaded; a retry, or the next run, "
            "reads these partitions again."
        )
    logger.info("%s new, %s changed, %s requests", summary.new, summary.changed, summary.requests)
    counts = ("run_id", "new", "changed", "unchanged", "requests", "retries", "seconds")
    return {**unit, **{name: getattr(summary, name) for name in counts}}


@contextmanager
def _explained() -> Iterator[None]:
    """Turn any error into an exception of Airflow with one paragraph; it is retried only if that may help."""
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as error:
        failure = explain(error)
        logger.debug(failure.text, exc_info=True)
        exception = AirflowException if failure.retry_may_help else AirflowFailException
        # dlt's traceback is long and may contain secrets, which a log must not hold.
        raise exception(failure.text) from None
