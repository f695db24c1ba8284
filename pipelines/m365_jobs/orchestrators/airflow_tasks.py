"""Run the tasks of an Airflow DAG; ``m365_jobs.airflow`` imports this when they run."""

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
from m365_jobs.errors.explain import WRONG_USAGE, explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.locks.base import TenantLockedError
from m365_jobs.warehouse.pipeline import telemetry_off

logger = logging.getLogger(__name__)


def units(tenants: Sequence[str], split: str) -> list[dict[str, str]]:
    """Return what to load: the named tenants, or all; with ``split`` locations, each of their locations.

    Raises:
        AirflowFailException: where the configuration is wrong.
    """
    with _explained():
        telemetry_off()
        wanted = selected(tenants, every=not tenants and bool(configured()))
        if split == "tenants":
            return [{"tenant": tenant.name} for tenant in wanted]
        shared = dlt.config.get(f"{SECTION}.locations", list)
        units: list[dict[str, str]] = []
        for tenant in wanted:
            try:
                # A tenant may have an empty list of its own.
                places = tenant.settings.get("locations", shared) or ()
            except (SourceError, ConfigurationException):
                places = ()  # its own task says what is wrong with its section, and fails for itself alone
            units += [{"tenant": tenant.name, "location": place} for place in places] or [{"tenant": tenant.name}]
        return units


def interval(context: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return the data interval of a run.

    Raises:
        AirflowFailException: where it has none.
    """
    start, end = context["data_interval_start"], context["data_interval_end"]
    if not start or not end or start >= end:
        raise AirflowFailException(
            f"The data interval of this run is empty ({start} to {end}), so there is nothing to load. Give the DAG a "
            "cron expression, or a timetable with data intervals such as CronDataIntervalTimetable."
        )
    return start, end


def load_unit(
    unit: dict[str, str], options: LoadOptions, interval: tuple[datetime, datetime] | None = None
) -> dict[str, Any]:
    """Load a tenant or a location of it; the returned value becomes the task's XCom.

    Raises:
        AirflowException: with the paragraph that the command line prints, also where it loaded what could not be proved
            complete.
        AirflowFailException: where another try is no use.
        AirflowSkipException: where ``options.min_age`` leaves the tenant to another worker.
    """
    with _explained(), ExitStack() as stack:
        (options.tenant,) = selected([unit["tenant"]], every=False)
        if "location" in unit:
            options.source["locations"] = [unit["location"]]
        if interval:
            # dlt would cut the interval off where the first load begins.
            options.source["start_date"] = interval[0].isoformat()
            scheduler = TimeIntervalContext(interval, allow_external_schedulers=True)
            stack.enter_context(Container().injectable_context(scheduler))
        try:
            summary = load(options, Progress(), logger.info)
        except TenantLockedError as busy:
            if options.min_age is None:
                raise
            raise AirflowSkipException(str(busy)) from None
    if summary.incomplete:
        raise AirflowException(
            f"Loaded, but not proved complete: {'; '.join(summary.incomplete)}. A retry, or the next run, begins there."
        )
    logger.info("%s new, %s changed, %s requests", summary.new, summary.changed, summary.requests)
    counts = ("run_id", "new", "changed", "unchanged", "requests", "retries", "seconds")
    return {**unit, **{name: getattr(summary, name) for name in counts}}


@contextmanager
def _explained() -> Iterator[None]:
    """Turn any error into one paragraph. A wrong configuration is not tried again."""
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as error:
        why = explain(error)
        logger.debug(why.text, exc_info=True)
        kind = AirflowFailException if why.exit_code == WRONG_USAGE else AirflowException
        # The traceback is dlt's, long, and not free of what a log should not hold.
        raise kind(why.text) from None
