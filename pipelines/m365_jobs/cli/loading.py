"""Define the commands that write: load, verify, demo, copy, schedule."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer

from m365_jobs.cli.options import (
    AllTenants,
    Concurrency,
    Dataset,
    Destination,
    Include,
    OnlyTenants,
    ParallelTenants,
    Scheduler,
    Since,
    SkipLoadedWithin,
    Strict,
    Tenants,
    Until,
    Verbose,
    check_settings,
    duration,
    failures,
    parse_time_option,
)


def load_command(
    since: Since = None,
    until: Until = None,
    tenant: Tenants = None,
    all_tenants: AllTenants = False,
    skip_loaded_within: SkipLoadedWithin = None,
    parallel_tenants: ParallelTenants = 8,
    concurrency: Concurrency = None,
    include: Include = None,
    destination: Destination = None,
    dataset: Dataset = None,
    strict: Strict = False,
    verbose: Verbose = False,
) -> None:
    """Load new and changed jobs; with --since, all jobs of that range.

    Example: m365-jobs load --tenant contoso
    """
    with failures(verbose, "Interrupted; the next load continues from there."):
        begin, end = parse_time_option("--since", since), parse_time_option("--until", until)
        check_settings(strict=strict)
        from m365_jobs.config.tenants import selected
        from m365_jobs.load.run import LoadOptions

        options, tenants = LoadOptions(begin, end, destination, dataset), selected(tenant or (), every=all_tenants)
        if include and since:
            raise typer.BadParameter("does not go with --since: a backfill asks for jobs alone", param_hint="--include")
        if include:
            options.source["include"] = include
        if concurrency:
            options.source["concurrency"] = concurrency
        if all_tenants:
            options.min_age = duration("--skip-loaded-within", skip_loaded_within)
        elif skip_loaded_within is not None:
            raise typer.BadParameter("goes with --all-tenants", param_hint="--skip-loaded-within")
        if all_tenants or len(tenants) > 1:
            raise typer.Exit(_load_tenants(options, tenants, parallel_tenants, verbose))
        raise typer.Exit(_load_one(options, tenants[0]))


def _load_one(options: Any, tenant: Any) -> int:
    from avepoint_m365 import Progress

    from m365_jobs import waiting
    from m365_jobs.cli import progress as console
    from m365_jobs.load.run import load as run
    from m365_jobs.terminal import print_line

    progress = Progress()
    options.tenant, interrupted = tenant, progress.stats.interrupted
    with (
        waiting.set_on_ctrl_c(interrupted),
        waiting.unless(interrupted),
        console.watch(lambda seconds: console.progress_of_one(progress, seconds)),
    ):
        summary = run(options, progress, print_line)
    console.report_load(summary)
    return summary.exit_code


def _load_tenants(options: Any, tenants: list[Any], parallel_tenants: int, verbose: bool) -> int:
    from avepoint_m365 import Progress
    from avepoint_m365.exceptions import InterruptedLoadError

    from m365_jobs.cli import progress as console
    from m365_jobs.load.parallel import TenantLoads, load_all
    from m365_jobs.terminal import print_line

    def log_failure(error: BaseException) -> None:
        if verbose:
            logging.getLogger("m365_jobs").error("The traceback of the failure:", exc_info=error)

    tenant_loads = TenantLoads({tenant.name: Progress() for tenant in tenants})
    try:
        with console.watch(lambda seconds: console.progress_of_tenants(tenant_loads, seconds)):
            load_all(tenants, options, tenant_loads, print_line, log_failure, parallel_tenants)
    except InterruptedLoadError:
        # The tenants that had failed before are named here alone.
        console.report_tenants(tenant_loads)
        raise
    console.report_tenants(tenant_loads)
    return tenant_loads.exit_code


def verify(
    since: Annotated[
        str | None, typer.Option(help="Compare from this date or time on; two years ago if unset. UTC without a zone.")
    ] = None,
    tenant: Tenants = None,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Read the history again, compare each job with the warehouse and load what differs.

    Exits 3 if something stays unproved.

    Example: m365-jobs verify --since 2026-01-01
    """
    with failures(verbose):
        begin = parse_time_option("--since", since)
        from m365_jobs.cli.verify import verify_tenants

        raise typer.Exit(verify_tenants(begin, tenant or (), destination, dataset))


def demo(
    jobs: Annotated[int, typer.Option(help="Jobs of the simulated tenant, those to come included.", min=1)] = 5000,
    verbose: Verbose = False,
) -> None:
    """Load from a simulated tenant into m365_warehouse.duckdb: a first load, then an incremental one.

    Example: m365-jobs demo --jobs 500
    """
    with failures(verbose):
        from m365_jobs.cli.demo import run_demo

        run_demo(jobs)


def schedule(
    scheduler: Annotated[Scheduler | None, typer.Argument(help="The scheduler; all of them if unset.")] = None,
    every: Annotated[str, typer.Option(help="Interval of loads, such as 15m, 6h or 'daily 02:00' (UTC).")] = "1h",
    tenant: Tenants = None,
    all_tenants: AllTenants = False,
    destination: Destination = None,
    dataset: Dataset = None,
    image: Annotated[str, typer.Option(help="The container image, for Kubernetes.")] = "m365-jobs:latest",
    verbose: Verbose = False,
) -> None:
    """Print timers for loads, health and reports: systemd, cron, Kubernetes or Windows tasks.

    Example: m365-jobs schedule systemd --every 6h
    """
    with failures(verbose):
        from m365_jobs.orchestrators.schedule import ScheduleOptions, plan_tasks
        from m365_jobs.orchestrators.scheduler_templates import render_template_of

        planned = plan_tasks(ScheduleOptions(every, tenant or (), all_tenants, destination, dataset, image))
        typer.echo(
            "\n".join(render_template_of(planned, kind) for kind in ([scheduler] if scheduler else Scheduler)), nl=False
        )


def copy(
    destination: Annotated[str, typer.Option(help="Name of the dlt destination to copy the DuckDB warehouse to.")],
    dataset: Dataset = None,
    from_dataset: Annotated[str | None, typer.Option(help="Dataset in the DuckDB file; m365_jobs if unset.")] = None,
    tenant: OnlyTenants = None,
    verbose: Verbose = False,
) -> None:
    """Copy a DuckDB warehouse with its cursors to another destination, where loads can continue.

    Example: m365-jobs copy --destination postgres
    """
    with failures(verbose):
        from m365_jobs.cli import progress as console
        from m365_jobs.load.copy import copy_tenants
        from m365_jobs.terminal import print_line

        result = copy_tenants(destination, dataset, print_line, tenant or (), from_dataset)
        console.report_copy(result, destination, dataset)
