"""Build a DAG of Airflow 3 that loads each tenant in a task of its own. The command line does not import this.

Airflow reads DAG files often. So nothing but Airflow is imported here: the tasks import what they need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

Unit = dict[str, str]
"""What one mapped task loads: a ``tenant`` and, where they are split, one ``location`` of it."""


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

    A run loads what is new, from each tenant's cursors. So it makes up for missed runs and follows jobs that change
    late; that is why ``catchup`` is off. Runs of the kinds in ``interval_runs`` load exactly their data interval
    instead and leave the cursors alone. The parameter ``tenants`` of a run narrows it to some tenants.

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
        min_age: Skip a tenant that another worker is loading, or has loaded less than that ago, like
            ``--all-tenants --skip-loaded-within``. Above 0 it needs a warehouse in PostgreSQL or a lake. If unset,
            the task waits for the other worker. Retries use 0, since a failed load counts as a load. A run that
            loads a data interval is never skipped.
        task_arguments: Arguments of the mapped task: ``executor_config``, ``queue``, ``pool``, ``retries`` and so on.
        dag_arguments: Arguments of the DAG, which override those that this function sets.

    Raises:
        ValueError: for ``min_age`` with locations: the first location to load would make the others skipped.
    """
    if min_age is not None and split == "locations":
        raise ValueError("min_age goes with split='tenants': it is a tenant as a whole that was loaded or not.")

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
        # Airflow 3 makes a timetable without data intervals of a cron expression.
        schedule = CronDataIntervalTimetable(schedule, timezone="UTC")
    arguments: dict[str, Any] = {
        "catchup": False,
        "max_active_runs": 1,
        "params": {"tenants": Param([], type="array", description="Tenants to load; none: all")},
        **dag_arguments,
    }
    shown = "{{ task.op_kwargs['unit'].values() | join(' ') }}"
    with DAG(dag_id, schedule=schedule, start_date=start_date, **arguments) as dag:
        units = task(tenants_to_load, task_id="tenants")()
        task(load_one, task_id="load", map_index_template=shown, **(task_arguments or {})).expand(unit=units)
    return dag
