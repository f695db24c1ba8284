"""Define the commands that show the warehouse to people: the report and the dashboard."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from m365_jobs.cli import alerts
from m365_jobs.cli.options import Dataset, Destination, OnlyTenants, Verbose, Wait, failures, parse_time_option


class Paper(StrEnum):
    """List the paper sizes of a PDF."""

    a4 = "A4"
    letter = "letter"


class ReportFormat(StrEnum):
    """List the forms of the files that --each-tenant writes."""

    html = "html"
    pdf = "pdf"
    png = "png"
    csv = "csv"


def report(
    path: Annotated[
        Path | None,
        typer.Argument(help="File to write: .html, .png or .pdf with the charts, .csv with the licences for billing."),
    ] = None,
    each_tenant: Annotated[
        Path | None, typer.Option("--each-tenant", metavar="DIR", help="Write a file for each tenant into this folder.")
    ] = None,
    format: Annotated[ReportFormat, typer.Option(help="With --each-tenant: the form of the files.")] = ReportFormat.pdf,
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Write the service report of a month, or bill that month.")
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Write the audit report of a period: what was scheduled, met and missed, failures, restore evidence, "
            "retention, and a digest. As .csv a row per service.",
        ),
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="With --audit: the start of the period, such as 2026-01-01. UTC without a zone.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="With --audit: the end of the period, which is outside it; today if unset.")
    ] = None,
    tenant: OnlyTenants = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of times and days, such as Europe/Berlin; the tenant's if unset.")
    ] = None,
    days: Annotated[
        int, typer.Option(help="How many days trends and errors, or an audit, reach back.", min=1, max=3650)
    ] = 30,
    paper: Annotated[Paper, typer.Option(help="Paper size of a PDF.")] = Paper.a4,
    mail: Annotated[
        bool, typer.Option("--mail", help="Send the file through the e-mail channel of [alerts.channels].")
    ] = False,
    wait: Wait = 30.0,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Write one file with the charts: HTML that opens offline, PNG or PDF; or licences for billing as CSV.

    Example: m365-jobs report report.pdf --tenant contoso
    """
    if (path is None) == (each_tenant is None):
        raise typer.BadParameter("Give the file to write, or --each-tenant DIR.")
    if (since or until) and not audit:
        raise typer.BadParameter("goes with --audit", param_hint="--since/--until")
    with failures(verbose):
        from m365_jobs.reports import needs_extra
        from m365_jobs.terminal import print_line

        with needs_extra():
            from m365_jobs.reports import report
            from m365_jobs.reports.audit import select_period
            from m365_jobs.reports.view import Filter
            from m365_jobs.warehouse.target import open_warehouse

            first, period = report.parse_month(month), None
            if audit:
                begin, end = parse_time_option("--since", since), parse_time_option("--until", until)
                period = select_period(days, first, begin, end)
            options = report.ReportOptions(
                Filter(tuple(tenant or ()), days=days), report.parse_timezone(timezone), paper.value, first, period
            )
            pipeline = open_warehouse(destination, dataset, wait, print_line)
            if each_tenant:
                written, invalid = report.write_tenant_reports(each_tenant, f".{format.value}", pipeline, options)
            else:
                written = {report.write_report(path or Path(), pipeline, options): tuple(tenant or ())}
                invalid = None
        for file in written if each_tenant else ():
            typer.echo(str(file))
        for file, tenants in written.items() if mail else ():
            alerts.mail_file(file, tenants)
        if invalid:
            raise invalid


def dashboard(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any that is free.", min=0, max=65535)] = 8365,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any address but loopback requires an access token.")
    ] = "127.0.0.1",
    refresh: Annotated[float, typer.Option(min=1, help="Seconds after which open pages are refreshed.")] = 20,
    tenant: OnlyTenants = None,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Show the warehouse in a browser, live, until interrupted.

    Example: m365-jobs dashboard --port 8080
    """
    with failures(verbose):
        from m365_jobs.reports import needs_extra

        with needs_extra():
            from m365_jobs.reports.dashboard import serve
            from m365_jobs.warehouse.target import open_warehouse

            # The dashboard shows what it has until a load is done.
            pipeline = open_warehouse(destination, dataset, wait=0)
            serve(pipeline, tuple(tenant or ()), host, port, refresh)
