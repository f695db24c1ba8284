"""Define the commands that read: status, health, check and query."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperCommand

from m365_jobs.cli import alerts
from m365_jobs.cli.options import (
    Dataset,
    Destination,
    Format,
    OnlyTenants,
    RowFormat,
    Strict,
    Tenants,
    Verbose,
    Wait,
    check_settings,
    failures,
    print_failure,
)


def status(
    format: Annotated[Format, typer.Option(help="Format of the output.")] = Format.table,
    tenant: OnlyTenants = None,
    wait: Wait = 30.0,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Show cursors, last loads, completeness, open jobs and rows.

    Example: m365-jobs status --tenant contoso
    """
    with failures(verbose):
        from m365_jobs.health.status import read_status
        from m365_jobs.terminal import print_line

        status = read_status(destination, dataset, tenant or (), wait, print_line)
        if format is Format.json:
            typer.echo(json.dumps(status, default=_iso, indent=2))
        else:
            from m365_jobs.cli.tables import print_parts
            from m365_jobs.cli.tables.status import status_tables

            print_parts(status_tables(status))


def health(
    format: Annotated[Format, typer.Option(help="Format of the output.")] = Format.table,
    max_age_hours: Annotated[
        float | None,
        typer.Option(help="Hours after which data is too old to evaluate; max_data_age_hours, or 6, if unset."),
    ] = None,
    tenant: OnlyTenants = None,
    prometheus: Annotated[Path | None, typer.Option(help="Write metrics into this file as well.")] = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send what changed to every channel in [alerts.channels].")
    ] = False,
    slack: Annotated[bool, typer.Option("--slack", help="Send what changed to Slack.")] = False,
    wait: Wait = 30.0,
    destination: Destination = None,
    dataset: Dataset = None,
    strict: Strict = False,
    verbose: Verbose = False,
) -> None:
    """Evaluate protection. Exits 4 if something is unprotected, or if that is unknown.

    Example: m365-jobs health --notify
    """
    with failures(verbose):
        check_settings(strict=strict)
        from m365_jobs.health.evaluate import evaluate
        from m365_jobs.terminal import print_line
        from m365_jobs.warehouse.target import open_warehouse

        pipeline = open_warehouse(destination, dataset, wait, print_line)
        evaluation = evaluate(pipeline, tenant or (), max_age_hours)
        # Monitors first: a terminal may fail, or its reader may stop.
        if prometheus:
            from m365_jobs.health import prometheus as health_prometheus

            health_prometheus.write_metrics(evaluation, prometheus)
        try:
            if notify or slack:
                alerts.send(evaluation, pipeline, tenant or (), every_channel=notify, slack=slack)
        finally:
            if format is Format.json:
                from m365_jobs.health.document import evaluation_document

                typer.echo(json.dumps(evaluation_document(evaluation), default=_iso, indent=2))
            else:
                from m365_jobs.cli.tables import print_parts
                from m365_jobs.cli.tables.health import health_tables

                print_parts(health_tables(evaluation))
    raise typer.Exit(evaluation.exit_code)


def check(
    tenant: Tenants = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Every tenant of the configuration.")] = False,
    destination: Destination = None,
    dataset: Dataset = None,
    strict: Strict = False,
    verbose: Verbose = False,
) -> None:
    """Try configuration, token, permission, API and destination, and name the cure for what fails.

    Example: m365-jobs check --all-tenants
    """
    worst = 0
    with failures(verbose):
        from m365_jobs.config.tenants import only_sections, selected
        from m365_jobs.health.preflight import run_preflight

        # Without shared credentials, only sections of tenants can be checked.
        every = all_tenants or (not tenant and only_sections())
        asked, names = selected(tenant or (), every=every), tenant or ()
        for finding in run_preflight(destination, dataset, asked, names, strict=strict):
            typer.echo(finding.line)
            worst = max(worst, finding.exit_code)
    raise typer.Exit(worst)


class QueryCommand(TyperCommand):
    """Parse the command line of ``query``, whose SQL may begin with a comment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UsageError: if an argument is an unknown option; for SQL, it says how to give it.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # No option contains a space or a line break.
            if not any(map(str.isspace, error.option_name)):
                raise
            message = "SQL that begins with -- is taken for an option. Put -- before it, or pipe it into the command."
            raise click.UsageError(message, ctx) from None


def query(
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="One query; - reads it from stdin. A prompt if unset.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="File with the query.", exists=True, dir_okay=False)] = None,
    format: Annotated[
        RowFormat, typer.Option(help="Format of the output; a table ends after 1,000 rows.")
    ] = RowFormat.table,
    wait: Wait = 30.0,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Run SQL on the warehouse, read-only; names without a schema mean the dataset.

    Without SQL, a prompt on a terminal; elsewhere the query comes from stdin.

    Example: m365-jobs query "SELECT state, count(*) FROM jobs GROUP BY state"
    """
    if sql is not None and file is not None:
        raise typer.BadParameter("Give the SQL or --file, not both.")
    with failures(verbose):
        from m365_jobs.terminal import print_line
        from m365_jobs.warehouse.target import open_warehouse

        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")
        pipeline = open_warehouse(destination, dataset, wait, print_line)
        if sql is None and file is None and sys.stdin.isatty():
            from m365_jobs.cli import shell

            shell.run_prompt(
                pipeline, lambda rows: _print_rows(rows, format), lambda error: print_failure(error, verbose)
            )
            return
        from m365_jobs.warehouse.query import run_query
        from m365_jobs.warehouse.reader import open_reader

        text = _query_text(sql, file)
        with open_reader(pipeline) as reader, run_query(reader, text) as rows:
            _print_rows(rows, format)


def _query_text(sql: str | None, file: Path | None) -> str:
    """Return the SQL of a query: from a file, from the argument, or from stdin."""
    from m365_jobs.warehouse.query import read_query_file

    if file:
        return read_query_file(file)
    return sys.stdin.read() if sql in (None, "-") else str(sql)


def _print_rows(rows: Any, format: RowFormat) -> None:
    from m365_jobs import terminal as console
    from m365_jobs.cli.tables import query_result

    if format is RowFormat.csv:
        query_result.write_csv(rows, sys.stdout)
    elif format is RowFormat.json:
        query_result.write_json(rows, sys.stdout)
    elif query_result.write_table(rows, sys.stdout, console.width(sys.stdout)):
        console.print_line(f"These are the first {query_result.SHOWN:,} rows; --format csv or json gives all.")


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
