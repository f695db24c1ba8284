"""Define the command line: its commands, and the life of a process.

Each command imports what it needs in its function. Only the requested command is built, which keeps start short.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Annotated, Any

import click
import typer

from m365_jobs.cli import alerts, init, lifetime, loading, reading, reports, tenant_commands

COMMANDS: dict[str, Callable[..., Any]] = {
    "load": loading.load_command,
    "verify": loading.verify,
    "demo": loading.demo,
    "status": reading.status,
    "health": reading.health,
    "check": reading.check,
    "schedule": loading.schedule,
    "copy": loading.copy,
    "query": reading.query,
    "report": reports.report,
    "dashboard": reports.dashboard,
    "init": init.init,
    "acknowledge": alerts.acknowledge,
    "alerts": alerts.alerts,
}

CLASSES = {"query": reading.QueryCommand}
"""Name of a command to the class that parses its arguments, for those with one of their own."""


def _print_version(is_set: bool) -> None:
    if is_set:
        from importlib.metadata import version

        typer.echo(
            f"m365-jobs {version('avepoint-m365-jobs')} (dlt {version('dlt')}, duckdb {version('duckdb')}, "
            f"Python {sys.version.split()[0]})"
        )
        raise typer.Exit


def before_any_command(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Load the jobs of AvePoint Cloud Backup for Microsoft 365 into your warehouse, and watch over them."""


def make_app(only: str | None = None) -> typer.Typer:
    """Return the application with all commands, or with a single one, since typer is slow to build each."""
    application = typer.Typer(
        name="m365-jobs",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Click 8.4 and newer suggest a command by themselves: the user would read two suggestions.
        suggest_commands=not hasattr(click.exceptions, "NoSuchCommand"),
        # Plain help, without types beside flags, needs no import of rich.
        rich_markup_mode=None,
    )
    application.callback()(before_any_command)
    for name, command in COMMANDS.items():
        if only is None or name == only:
            application.command(name, cls=CLASSES.get(name))(command)
    if only is None:
        application.add_typer(tenant_commands.app, name="tenant")
    return application


app = make_app()


def main() -> None:
    """Run ``m365-jobs``, as ``python -m m365_jobs`` does."""
    lifetime.prepare_memory()
    lifetime.prepare_streams()
    lifetime.prepare_signals()
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    run: Callable[[], None] = make_app(command) if command in COMMANDS else app
    try:
        try:
            run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        lifetime.close_stdout()
        sys.exit(1)
    finally:
        # At its end Python searches all objects for cycles, which needs 0.5 s after 100,000 jobs.
        gc.freeze()
