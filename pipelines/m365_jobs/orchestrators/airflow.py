"""Build a DAG of Airflow 3 that loads each tenant in a task of its own; the command line does not import it.

Airflow parses DAG files often, so this module imports nothing but Airflow. Its tasks import what they need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

Unit = dict[str, str]
"""The work of one mapped task: a ``tenant`` and, with ``split="locations"``, one ``location``."""


def load_dag(  # noqa: PLR0913 - a DAG file names what it changes
    dag_id: str = "m365_jobs",
    *,
    start_date: datetime,
    schedule: Any = "@hourly",
    tenants: Sequence[str] = (),
    split: Literal["tenants", "locations"] = "tenants",
    interval_runs: Sequence[str] = ("backfill",),
    destination: str | None = None,
    dataset: str | None = None,
    min_age: timedelta | None = None,
    task_arguments: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> DAG:
    """Return a DAG of two tasks: ``tenants`` reads the configuration, ``load`` is mapped over its tenants.

    A run loads new jobs from each tenant's cursors. So the next run makes up for a missed one, and ``catchup`` is off.
    Runs of the types in ``interval_runs`` load their data interval instead, and leave the cursors alone. The parameter
    ``tenants`` of a run selects some of the tenants.

    Args:
        dag_id: Name of the DAG.
        start_date: The start of the DAG's schedule; the first load begins at ``start_date`` of the source.
        schedule: A cron expression or preset, in UTC, or a timetable of Airflow; one without data intervals, such as
            ``CronTriggerTimetable``, cannot be backfilled.
        tenants: Names of tenants; all configured ones if empty.
        split: Whether a task loads a tenant or one location of it. The tasks of one tenant write one after the other.
        interval_runs: Values of Airflow's ``DagRunType``: backfill, scheduled, manual, asset_triggered.
        destination: As ``--destination``.
        dataset: As ``--dataset``.
        min_age: Skip a tenant that another worker is loading, or has loaded within this time, like
            ``--all-tenants --skip-loaded-within``. Above 0 it needs a warehouse in PostgreSQL or a lake. If unset,
            the task waits for the other worker. Retries use 0, since a failed load counts as a load. A run that
            loads a data interval is never skipped.
        task_arguments: Arguments of the mapped task: ``executor_config``, ``queue``, ``pool``, ``retries`` and so on.
        dag_arguments: Arguments of the DAG, which override those that this function sets.

    Raises:
        ValueError: for ``min_age`` with locations: the first location to load would make the others skipped.
    """
    if min_age is not None and split == "locations":
        raise ValueError("Contradicting arguments: min_age needs split='tenants', since it applies to whole tenants.")

    def tenants_to_load() -> list[Unit]:
        from m365_jobs.orchestrators.airflow_tasks import units

        return units(get_current_context()["params"]["tenants"] or tenants, split)

    def load_one(unit: Unit) -> dict[str, Any]:
        from m365_jobs.load.run import LoadOptions
        from m365_jobs.orchestrators.airflow_tasks import interval, load_unit

        context, options = get_current_context(), LoadOptions(destination=destination, dataset=dataset)
        if context["dag_run"].run_type in tuple(interval_runs):
            return load_unit(unit, options, interval(context))
        if min_age is not None:
            options.min_age = min_age if context["ti"].try_number == 1 else timedelta()
        return load_unit(unit, options)

    if isinstance(schedule, str):
        # From a cron expression, Airflow 3 itself makes a timetable without data intervals.
        schedule = CronDataIntervalTimetable(schedule, timezone="UTC")
    arguments: dict[str, Any] = {
        "catchup": False,
        "max_active_runs": 1,
        "params": {"tenants": Param([], type="array", description="Tenants to load; none: all")},
        **dag_arguments,
    }
    task_label = "{{ task.op_kwargs['unit'].values() | join(' ') }}"
    with DAG(dag_id, schedule=schedule, start_date=start_date, **arguments) as dag:
        units = task(tenants_to_load, task_id="tenants")()
        task(load_one, task_id="load", map_index_template=task_label, **(task_arguments or {})).expand(unit=units)
    return dag
