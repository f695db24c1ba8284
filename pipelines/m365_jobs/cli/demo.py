"""Run the demo: a simulated tenant, a first load, the load after a night, and the state of the warehouse."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
from avepoint_m365 import Progress
from avepoint_simulator import ID_PATTERN, Simulator
from avepoint_simulator.companions import make_companions

from m365_jobs.cli import progress as console
from m365_jobs.cli.demo_story import DAYS, demo_world, load_settings_of_a_month
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.terminal import print_line
from m365_jobs.text import format_count
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.factory import default_file
from m365_jobs.warehouse.target import DATASET
from m365_jobs.warehouse.tenant_scope import open_scope

NIGHT = timedelta(hours=8)

STATUSES = "SELECT " + ", ".join(
    f"count(CASE WHEN p.status = '{status}' THEN 1 END) AS {status}" for status in ProtectionStatus
) + " FROM protection_status AS p"  # fmt: skip

SCHEDULED = """
SELECT CAST(sum(c.scheduled) AS BIGINT) AS scheduled, CAST(sum(c.succeeded) AS BIGINT) AS succeeded,
    CAST(sum(c.missed) AS BIGINT) AS missed, CAST(sum(c.skipped) AS BIGINT) AS skipped
FROM schedule_compliance AS c
"""

LICENCE = """
SELECT max(l.assigned_user_seats) AS seats, max(l.purchased_user_seats) AS bought,
    count(CASE WHEN epoch(l.out_of_policy_at) <= epoch(l.snapshot_at) THEN 1 END) AS days
FROM license_consumption AS l
"""


def run_demo(jobs: int) -> Simulator:
    """Load twice from a simulator on loopback; return the stopped simulator, which still knows its jobs."""
    file = default_file()
    _make_room(file)
    evening = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - NIGHT
    companions = make_companions(evening, DAYS)
    world = demo_world(jobs, companions, evening, NIGHT)
    with Simulator(world, companions=companions) as simulator:
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
        # Some of its jobs start later.
        history = format_count(len(world.visible()), "job")
        print_line(f"A simulated tenant with {history} is at {simulator.base_url}. First load:")
        _load(options)
        pipeline = warehouse.open_pipeline(warehouse.DEMO_TENANT, None, None, file)
        load_settings_of_a_month(pipeline, companions, evening)
        world.advance(NIGHT)
        print_line("\nEight hours later: jobs have ended, others have started. Second load:")
        _load(options)
    _print_state(options)
    pages = "or, as a file: m365-jobs report report.html"
    if not find_spec("starlette"):
        pages = "needs the extra reports; in a clone: make setup"
    print_line(
        f"\nWhat to run next. The command is {Path(sys.executable).with_name('m365-jobs')}; for instance:\n"
        "  m365-jobs health\n"
        f"  m365-jobs dashboard    ({pages})\n"
        "  m365-jobs status\n"
        '  m365-jobs query "SELECT object_type, status, hours_since_success FROM protection_status"'
    )
    return simulator


def _print_state(options: LoadOptions) -> None:
    """Print the state of the warehouse: statuses of services, scheduled backups and the licence."""
    pipeline = warehouse.open_pipeline(warehouse.DEMO_TENANT, None, None, options.file)
    with open_scope(pipeline, [warehouse.DEMO_TENANT]) as scope:
        rows = [scope.rows(query)[0] for query in (STATUSES, SCHEDULED, LICENCE)]
    statuses, scheduled, licence = rows
    services = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in statuses.items() if count)
    print_line(
        f"\nServices: {services}.\n"
        f"Backups scheduled in a month: {scheduled['scheduled']}; {scheduled['succeeded']} succeeded, "
        f"{scheduled['missed']} were missed, {scheduled['skipped']} skipped.\n"
        f"Licence: {licence['seats']} of {format_count(licence['bought'], 'seat')} in use; "
        f"out of policy on {format_count(licence['days'], 'day')}."
    )


def _make_room(file: Path) -> None:
    """Remove the warehouse of an earlier demo.

    Raises:
        UsageError: if the file contains anything else.
    """
    if not file.exists():
        return
    with duckdb.connect(str(file), read_only=True) as connection:
        # Other schemas contain real loads with --dataset, or tables of the user.
        others = connection.execute(
            "SELECT count(*) FROM (SELECT schema_name, internal FROM duckdb_tables() UNION ALL "
            "SELECT schema_name, internal FROM duckdb_views()) "
            "WHERE NOT internal AND schema_name <> ? AND NOT starts_with(schema_name, ?)",
            [DATASET, f"{DATASET}_staging"],
        ).fetchone()
        if not (others and others[0]):
            try:
                others = connection.execute(
                    f"SELECT count(*) FROM (SELECT tenant FROM {DATASET}.jobs WHERE NOT "
                    f"regexp_full_match(id, ?) UNION ALL SELECT tenant FROM {DATASET}.load_runs "
                    "WHERE tenant <> ?)",
                    [ID_PATTERN, warehouse.DEMO_TENANT],
                ).fetchone()
            except duckdb.CatalogException:
                others = (0,)
    if others and others[0]:
        raise UsageError(
            f"{file} is in use: it holds jobs that are not the demo's, or other tables. "
            "Run the demo in another directory."
        )
    print_line(f"Starting over: {file.name} holds an earlier demo.")
    file.unlink()


def _load(options: LoadOptions) -> None:
    progress = Progress()
    with console.watch(lambda seconds: console.progress_of_one(progress, seconds)):
        summary = load(options, progress, print_line)
    console.report_load(summary)
