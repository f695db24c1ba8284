"""Make the tenant of the demo: its scheduled jobs, its failures, and a month of settings and licences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dlt
from avepoint_m365.companions.base import Answers, Ask, Context
from avepoint_m365.companions.columns import keeps_history
from avepoint_m365.companions.resources import attempt_row
from avepoint_m365.companions.schema import COMPANION_LOADS, SERVICE_TYPES
from avepoint_m365.companions.service_types import service_rows
from avepoint_m365.companions.source import COMPANIONS, TABLES
from avepoint_m365.constants import JobType, ObjectType
from avepoint_simulator import JobError, World, make_world
from avepoint_simulator.companions import OBJECT_TYPE_OF, Companions, schedule_backups
from avepoint_simulator.tenant import SimulatedJob
from dlt.common.normalizers.json.helpers import get_row_hash

from m365_jobs.load.companions import ROW_HASH, companion_rows
from m365_jobs.schema import SCHEMA
from m365_jobs.warehouse import contract
from m365_jobs.warehouse import pipeline as warehouse

SEED = 42
DAYS = 30
DENIED = JobError("Access denied. The app profile lacks a permission for this site.", True, "", 3)

SILENT_FOR = {ObjectType.power_bi: timedelta(hours=30), ObjectType.sharepoint_online: timedelta(hours=60)}
"""Services without a finished backup in the last hours: one is late, and a backup of the other runs long."""

SKIPPED_BEFORE = timedelta(days=2)

Row = dict[str, Any]


def demo_world(jobs: int, companions: Companions, evening: datetime, night: timedelta) -> World:
    """Return a tenant with about ``jobs`` jobs; backups of scheduled services start by the schedule.

    One service fails, one is late, one has a long backup, one skipped a backup, and one scheduled service never
    starts.
    """
    planned = World(evening)
    # It begins at midnight, so that the same backups fail at any time of the day.
    first = (evening - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    schedule_backups(planned, companions, first, evening + night, SEED)
    backups = sorted(planned.all(), key=lambda job: job.start)[-max(jobs // 2, 1) :]
    scheduled = {OBJECT_TYPE_OF[service.service_type] for _, plan in companions.schedules for service in plan}
    others = [
        job
        for job in make_world(2 * jobs, SEED, evening).all()
        if job.job_type != JobType.backup or job.object_type not in scheduled
    ]
    world = World(evening)
    world.put(*others[: jobs - len(backups)], *backups)
    _add_failures(world, evening)
    return world


def _add_failures(world: World, evening: datetime) -> None:
    for job in world.all():
        if job.job_type != JobType.backup or job.finish is None:
            continue
        age = evening - job.finish
        if job.object_type == ObjectType.teams and age < timedelta(days=3):
            failed = min(job.total, max(job.failed, 1))
            world.change(job.id, final_state="Failed", failed=failed, errors=job.errors or (DENIED,))
        elif (silent := SILENT_FOR.get(ObjectType(job.object_type))) and age < silent:
            world.remove(job.id)
    _skip_a_backup(world, evening - SKIPPED_BEFORE)
    if earlier := _backups(world, ObjectType.sharepoint_online):
        start = evening - timedelta(hours=5)
        last = earlier[-1]
        job_id = f"{last.id[:2]}{start:%Y%m%d%H%M%S}9999999"
        world.put(replace(last, id=job_id, start=start, finish=start + timedelta(hours=30)))


def _skip_a_backup(world: World, before: datetime) -> None:
    """Let a backup of Exchange Online that started ``before`` run so long that the one after it does not start."""
    backups = [job for job in _backups(world, ObjectType.exchange_online) if job.start < before]
    if len(backups) > 1:
        long, skipped = backups[-2:]
        world.change(long.id, finish=skipped.start + timedelta(hours=1))
        world.remove(skipped.id)


def _backups(world: World, object_type: ObjectType) -> list[SimulatedJob]:
    """Return the backups of a service in the order of their starts."""
    backups = [job for job in world.all() if (job.object_type, job.job_type) == (object_type, JobType.backup)]
    return sorted(backups, key=lambda job: job.start)


class PastApi:
    """Answer requests of companions as the demo's API did at a past time (UTC)."""

    def __init__(self, companions: Companions, now: datetime) -> None:
        self._companions, self._now = companions, now

    def get(self, path: str, params: Mapping[str, str], scope: str) -> Any:
        """Return the body of a response."""
        return {"data": self._companions.data(path, {name.lower(): value for name, value in params.items()}, self._now)}


def load_settings_of_a_month(pipeline: dlt.Pipeline, companions: Companions, evening: datetime) -> None:
    """Write the companions' rows of the last month, as one load a day would have written them."""
    rows: dict[str, dict[Any, Row]] = {table.name: {} for table in TABLES}
    memories: dict[str, Row] = {companion.name: {} for companion in COMPANIONS}
    for number in range(DAYS, 0, -1):
        moment = evening - timedelta(days=number)
        context = Context(PastApi(companions, moment), warehouse.DEMO_TENANT, (None,), moment, True)
        for companion in COMPANIONS:
            answers = Answers()
            companion.read(Ask(context, companion), None, memories[companion.name], answers)
            answers.add(COMPANION_LOADS.name, attempt_row(companion, context, None))
            _keep(rows, answers, moment)
    rows[SERVICE_TYPES.name] = dict(enumerate(service_rows()))

    @dlt.source(name=SCHEMA)
    def avepoint_m365() -> Any:
        return [companion_rows(table, list(rows[table.name].values()), is_lake=False) for table in TABLES]

    pipeline.run(contract.prepare(avepoint_m365(), pipeline))


def _keep(rows: dict[str, dict[Any, Row]], answers: Answers, moment: datetime) -> None:
    """Add the rows of a day: versions of settings with their validity, and of other rows the newest."""
    for table in TABLES:
        new, versions = answers.rows.get(table.name, []), rows[table.name]
        if not keeps_history(table):
            versions.update({tuple(row[name] for name in table.key): row for row in new})
            continue
        in_force = {row["id"]: row for row in versions.values() if row["valid_to"] is None}
        ids = {row["id"] for row in new}
        for row in in_force.values():
            if new and row["id"] not in ids:
                row["valid_to"] = moment
        for row in new:
            if row["id"] not in in_force:
                version = {"valid_from": moment, "valid_to": None, ROW_HASH: get_row_hash(row)}
                versions[row["id"], moment] = row | version
