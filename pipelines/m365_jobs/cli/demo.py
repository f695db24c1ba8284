"""Run the demo: a simulated tenant, a first load, the news of a night, and the state of the warehouse."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from avepoint_m365 import Progress
from avepoint_m365.settings import JobType, ObjectType
from avepoint_simulator import ID_PATTERN, JobError, Simulator, World, make_world

from m365_jobs.cli import progress as console
from m365_jobs.errors.explain import UsageError
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.warehouse import pipeline as warehouse

SEED = 42
NIGHT = timedelta(hours=8)
RUNNING_LONG = (ObjectType.sharepoint_online, JobType.backup)
DENIED = JobError("Access denied. The app profile lacks a permission for this site.", True, "", 3)


def run_demo(jobs: int) -> Simulator:
    """Load twice from a simulator on loopback; return the stopped simulator, which still knows its jobs."""
    file = warehouse.default_file()
    _make_room(file)
    evening = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - NIGHT
    world = make_world(jobs, SEED, evening)
    _make_trouble(world, evening)
    with Simulator(world) as simulator:
        options = LoadOptions(
            file=file,
            source={
                "tenant": warehouse.DEMO_TENANT,
                "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
                "base_url": simulator.base_url,
                "token_url": simulator.token_url,
                "start_date": (evening - timedelta(days=60)).isoformat(),
            },
        )
        # Some of its jobs are still to come.
        console.print_line(
            f"A simulated tenant with {len(world.visible()):,} jobs is at {simulator.base_url}. First load:"
        )
        _load(options)
        world.advance(NIGHT)
        console.print_line("\nEight hours later: jobs have ended, others have started. Second load:")
        _load(options)
    console.print_line(
        f"\nNow ask it something. The command is {Path(sys.executable).with_name('m365-jobs')}; for instance:\n"
        "  m365-jobs health\n"
        "  m365-jobs dashboard    (or, as a file: m365-jobs report report.html)\n"
        "  m365-jobs status\n"
        '  m365-jobs query "SELECT object_type, status, hours_since_success FROM protection_status"'
    )
    return simulator


def _make_trouble(world: World, evening: datetime) -> None:
    """Make one service fail, one miss its backups and one run long, so that the first screen shows something."""
    for job in world.all():
        if job.job_type != JobType.backup or job.finish is None or job.finish < evening - timedelta(hours=30):
            continue
        if job.object_type == ObjectType.teams:
            failed = min(job.total, max(job.failed, 1))
            world.change(job.id, final_state="Failed", failed=failed, errors=job.errors or (DENIED,))
        elif job.object_type in (ObjectType.power_bi, ObjectType.sharepoint_online):
            world.remove(job.id)
    open_since = evening - timedelta(hours=5)
    earlier = [job for job in world.all() if (job.object_type, job.job_type) == RUNNING_LONG]
    if earlier:
        last = max(earlier, key=lambda job: job.start)
        world.put(replace(last, id=f"{last.id[:2]}{open_since:%Y%m%d%H%M%S}9999999", start=open_since,
                          finish=open_since + timedelta(hours=30)))  # fmt: skip


def _make_room(file: Path) -> None:
    """Remove the warehouse of an earlier demo; refuse to touch any other."""
    if not file.exists():
        return
    with duckdb.connect(str(file), read_only=True) as connection:
        # In schemas of other names lie real loads with --dataset, or what somebody else made.
        others = connection.execute(
            "SELECT count(*) FROM (SELECT schema_name, internal FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, internal FROM duckdb_views()) "
            "WHERE NOT internal AND schema_name <> ? AND NOT starts_with(schema_name, ?)",
            [warehouse.DATASET, f"{warehouse.DATASET}_staging"],
        ).fetchone()
        if not (others and others[0]):
            try:
                others = connection.execute(
                    f"SELECT count(*) FROM {warehouse.DATASET}.jobs WHERE NOT regexp_full_match(id, ?)", [ID_PATTERN]
                ).fetchone()
            except duckdb.CatalogException:
                others = (0,)
    if others and others[0]:
        raise UsageError(
            f"{file} is in use: it holds jobs that are not the demo's, or other tables. "
            "Run the demo in another directory."
        )
    console.print_line(f"Starting over: {file.name} holds an earlier demo.")
    file.unlink()


def _load(options: LoadOptions) -> None:
    progress = Progress()
    with console.watch(lambda: console.progress_of_one(progress)):
        summary = load(options, progress, console.print_line)
    console.report_load(summary)
