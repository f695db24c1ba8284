"""Define the commands for alerts: list them, acknowledge one, and send undelivered messages again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m365_jobs.cli.options import Dataset, Destination, Format, OnlyTenants, Verbose, duration, failures

if TYPE_CHECKING:
    from m365_jobs.health.channels.base import Channel
    from m365_jobs.health.evaluate import Evaluation
    from m365_jobs.warehouse.target import Target


def send(evaluation: Evaluation, pipeline: Target, tenants: Sequence[str], *, every_channel: bool, slack: bool) -> None:
    """Send changes of alerts to all channels, to Slack, or to both.

    Raises:
        UsageError: if no channel is configured.
        NotificationError: if a receiver does not accept a message.
    """
    from m365_jobs.errors.exceptions import UsageError
    from m365_jobs.health.alerts.notify import notify
    from m365_jobs.health.channels.configured import configured_channels, make_channel

    channels = configured_channels() if every_channel else []
    if slack and not any(channel.type == "slack" for channel in channels):
        channels.append(make_channel("slack", "slack"))
    if not channels:
        raise UsageError("No alert channel is configured. Add a section such as [alerts.channels.email].")
    for channel in channels:
        _print_unknown_tenants(channel, pipeline)
    notify(evaluation, pipeline, tenants, channels)


def _print_unknown_tenants(channel: Channel, pipeline: Target) -> None:
    """Print the tenant of a channel that does not exist: without a word, its alerts would never be sent."""
    from m365_jobs.errors.exceptions import UsageError
    from m365_jobs.terminal import print_line
    from m365_jobs.warehouse.tenant_scope import refuse_unknown_names

    try:
        refuse_unknown_names(pipeline, channel.config.values.get("tenants") or ())
    except UsageError as error:
        print_line(f"Channel {channel.name}: {error}")


def mail_file(path: Path, tenants: Sequence[str]) -> None:
    """Send a report of some tenants, or of all if empty, to the recipients of the e-mail channel that gets it.

    Raises:
        ConfigurationError: if no e-mail channel gets such a report.
        NotificationError: if the mail server does not accept the message.
    """
    from m365_jobs.errors.exceptions import NotificationError
    from m365_jobs.health.channels.base import DeliveryError
    from m365_jobs.health.channels.configured import mail_channel
    from m365_jobs.text import sanitize, shorten
    from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

    channel = mail_channel(tenants)
    names = ", ".join(name for name in tenants if name not in DEFAULT_LABELS)
    of_tenants = f" of {shorten(sanitize(names), 100)}" if names else ""
    subject = f"Microsoft 365 backup report{of_tenants}, {datetime.now(UTC):%Y-%m-%d}"
    try:
        channel.send_file(str(uuid.uuid4()), subject, f"The report{of_tenants} is attached.", path)
    except DeliveryError as error:
        message = f"{error} The report is written: {path}. Run the command again to send it."
        raise NotificationError(message) from error


def acknowledge(
    *,
    alert: Annotated[
        list[str] | None, typer.Argument(help="Ids of alerts, as `m365-jobs alerts` and messages show them.")
    ] = None,
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", help="All open alerts of this tenant; may be given several times."),
    ] = None,
    owner: Annotated[str, typer.Option(help="Person who works on the alert, such as ada@contoso.com.")],
    silent_for: Annotated[
        str, typer.Option("--for", help="Time for which channels get no message about the alert: 30m, 8h, 3d.")
    ] = "24h",
    note: Annotated[str | None, typer.Option(help="Text that is stored with the acknowledgement.")] = None,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Acknowledge alerts: channels get no message about them for a time.

    Example: m365-jobs acknowledge 1a2b3c4d --owner ada --for 8h
    """
    with failures(verbose):
        from m365_jobs.errors.exceptions import UsageError
        from m365_jobs.health.alerts.notify import Acknowledgement, acknowledge_alerts
        from m365_jobs.warehouse.target import open_warehouse

        if not alert and not tenant:
            raise UsageError("No alert is named. Give ids, or --tenant NAME for all alerts of a tenant.")
        pipeline = open_warehouse(destination, dataset)
        if not (silence := duration("--for", silent_for)):
            raise UsageError("--for is zero. Write 30m, 8h or 3d.")
        until = datetime.now(UTC) + silence
        by = Acknowledgement(owner, until, note)
        for acknowledged in acknowledge_alerts(pipeline, alert or (), tenant or (), by):
            finding = acknowledged.finding
            what = " of ".join(filter(None, (finding.kind, finding.partition_label)))
            typer.echo(f"Acknowledged {acknowledged.id} ({what}) by {owner} until {until:%F %H:%M} UTC.")


def alerts(
    format: Annotated[Format, typer.Option(help="Format of the output.")] = Format.table,
    resend: Annotated[bool, typer.Option("--resend", help="Queue undelivered messages again.")] = False,
    tenant: OnlyTenants = None,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """List open alerts and undelivered messages.

    Example: m365-jobs alerts --resend
    """
    with failures(verbose):
        from m365_jobs.health.alerts import notify
        from m365_jobs.health.alerts.document import alerts_document
        from m365_jobs.warehouse.target import open_warehouse
        from m365_jobs.warehouse.tenant_scope import refuse_unknown_names

        pipeline = open_warehouse(destination, dataset)
        refuse_unknown_names(pipeline, tenant or ())
        if resend:
            count = notify.resend(pipeline)
            typer.echo(f"Due again: {count}. The next m365-jobs health --notify sends them.", err=True)
        document = alerts_document(pipeline, tenant or ())
        if format is Format.json:
            typer.echo(json.dumps(document, indent=2))
        else:
            from m365_jobs.cli.tables import print_parts
            from m365_jobs.cli.tables.alerts import alert_tables

            print_parts(alert_tables(document))
