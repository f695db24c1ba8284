"""Airflow 3: a DAG that loads each tenant in a task of its own. For DAG files; the command line does not import it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, Literal

import dlt
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from avepoint_m365 import Progress
from avepoint_m365.config import SECTION
from dlt.common.configuration.container import Container
from dlt.extract.incremental.context import TimeIntervalContext

from m365_jobs.errors import WRONG_USAGE, explain
from m365_jobs.load import Options, load
from m365_jobs.tenants import configured, selected
from m365_jobs.warehouse import telemetry_off

logger = logging.getLogger(__name__)

Unit = dict[str, str]
"""What one mapped task loads: a ``tenant`` and, where they are split, one ``location`` of it."""


def load_dag(
    dag_id: str = "m365_jobs",
    *,
    start_date: datetime,
    schedule: Any = "@hourly",
    tenants: Sequence[str] = (),
    split: Literal["tenants", "locations"] = "tenants",
    interval_runs: Sequence[str] = ("backfill",),
    destination: str | None = None,
    dataset: str | None = None,
    task_arguments: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> DAG:
    """A DAG of two tasks: ``tenants`` reads the configuration, ``load`` is mapped over what it found.

    A run loads what is new, from each tenant's cursors, so that it makes up for runs that were missed and follows jobs
    that change late; that is why ``catchup`` is off. Runs of the kinds in ``interval_runs`` load exactly their data
    interval instead and leave the cursors alone. The parameter ``tenants`` of a run narrows it to some tenants.

    Args:
        dag_id: Name of the DAG.
        start_date: Where its schedule begins, which is not where the first load does: see ``start_date`` of the source.
        schedule: A cron expression or preset, in UTC, or a timetable of Airflow's; one without data intervals, as
            ``CronTriggerTimetable``, cannot be backfilled.
        tenants: Names of tenants; all that are configured where empty.
        split: Whether a task loads a tenant or one location of it. The tasks of one tenant write one after the other.
        interval_runs: Values of Airflow's ``DagRunType``: backfill, scheduled, manual, asset_triggered.
        destination: As ``--destination``.
        dataset: As ``--dataset``.
        task_arguments: Of the mapped task: ``executor_config``, ``queue``, ``pool``, ``retries`` and the like.
        dag_arguments: Of the DAG, going before what is said here.
    """

    def tenants_to_load() -> list[Unit]:
        with _explained():
            return _units(get_current_context()["params"]["tenants"] or tenants, split)

    def load_one(unit: Unit) -> dict[str, Any]:
        context = get_current_context()
        interval = _interval(context) if context["dag_run"].run_type in tuple(interval_runs) else None
        return _load(unit, Options(destination=destination, dataset=dataset), interval)

    if isinstance(schedule, str):
        # Airflow 3 makes a timetable without data intervals of a cron expression.
        schedule = CronDataIntervalTimetable(schedule, timezone="UTC")
    chosen: dict[str, Any] = {
        "catchup": False,
        "max_active_runs": 1,
        "params": {"tenants": Param([], type="array", description="Tenants to load; none: all")},
        **dag_arguments,
    }
    shown = "{{ task.op_kwargs['unit'].values() | join(' ') }}"
    with DAG(dag_id, schedule=schedule, start_date=start_date, **chosen) as dag:
        units = task(tenants_to_load, task_id="tenants")()
        task(load_one, task_id="load", map_index_template=shown, **(task_arguments or {})).expand(unit=units)
    return dag


def _units(names: Sequence[str], split: str) -> list[Unit]:
    telemetry_off()
    found = selected(names, every=not names and bool(configured()))
    if split == "tenants":
        return [{"tenant": one.name} for one in found]
    shared = dlt.config.get(f"{SECTION}.locations", list)
    units = []
    for one in found:
        locations = one.settings.get("locations") or shared
        units += [{"tenant": one.name, "location": place} for place in locations or ()] or [{"tenant": one.name}]
    return units


def _interval(context: Any) -> tuple[datetime, datetime]:
    """The data interval of a run.

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


def _load(unit: Unit, options: Options, interval: tuple[datetime, datetime] | None) -> dict[str, Any]:
    """Loads a tenant or a location of it; what is returned becomes the task's XCom."""
    with _explained(), ExitStack() as stack:
        (tenant,) = selected([unit["tenant"]], every=False)
        options.source = {**tenant.settings, "tenant": tenant.name}
        if "location" in unit:
            options.source["locations"] = [unit["location"]]
        if interval:
            # dlt would cut the interval off where the first load begins.
            options.source["start_date"] = interval[0].isoformat()
            scheduler = TimeIntervalContext(interval, allow_external_schedulers=True)
            stack.enter_context(Container().injectable_context(scheduler))
        summary = load(options, Progress(), logger.info)
    if summary.incomplete:
        raise AirflowException(
            f"Loaded, but not proved complete: {'; '.join(summary.incomplete)}. A retry, or the next run, begins there."
        )
    logger.info("%s new, %s changed, %s requests", summary.new, summary.changed, summary.requests)
    counts = ("run_id", "new", "changed", "unchanged", "requests", "retries", "seconds")
    return {**unit, **{name: getattr(summary, name) for name in counts}}


@contextmanager
def _explained() -> Iterator[None]:
    """Turns whatever goes wrong into one paragraph. A wrong configuration is not tried again."""
    try:
        yield
    except Exception as error:
        why = explain(error)
        logger.debug(why.text, exc_info=True)
        kind = AirflowFailException if why.exit_code == WRONG_USAGE else AirflowException
        # The traceback is dlt's, long, and not free of what a log should not hold.
        raise kind(why.text) from None
