"""Record the findings of an evaluation as alerts, and deliver the changes to all channels."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from avepoint_m365.config import SECTION, listed

from m365_jobs.config.alerts import AlertRules, alert_rules
from m365_jobs.config.calendar import parse_zone, tenant_zones
from m365_jobs.errors.exceptions import NotificationError, UsageError
from m365_jobs.health.alerts import lifecycle, outbox
from m365_jobs.health.alerts.findings import findings_of
from m365_jobs.health.alerts.maintenance import Maintenance, parse_maintenance_window
from m365_jobs.health.alerts.models import Alert, AlertFinding, Announcement, Delivery, DeliveryState, Event, EventKind
from m365_jobs.health.alerts.store import AlertStore, open_store
from m365_jobs.health.channels.base import Channel
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.warehouse.target import Target


@dataclass(frozen=True)
class NotifyRun:
    """Hold the parameters of one call of ``notify``."""

    findings: Mapping[str, AlertFinding]
    """Id of the alert to its finding, in the order of health."""
    scope: lifecycle.AlertScope
    rules: AlertRules
    maintenance: Maintenance
    unhealthy: frozenset[str | None]
    """Tenants with a problem; None for a problem that concerns all."""
    now: datetime
    """UTC."""
    zones: Mapping[str, str]
    """Time zones of recurring maintenance windows (``tenant_zones``): an unknown one must not stop all alerts."""


def notify(evaluation: Evaluation, pipeline: Target, tenants: Sequence[str], channels: Sequence[Channel]) -> None:
    """Record the alerts of an evaluation of some tenants, or of all if empty, and send the changes.

    Raises:
        ConfigurationError: for an invalid rule or maintenance window.
        NotificationError: if a receiver does not accept a message; the text says whether a later run sends it.
    """
    rules = alert_rules()
    scope = lifecycle.AlertScope(frozenset(tenants))
    unhealthy = frozenset(problem.tenant for problem in evaluation.problems)
    findings = {finding.alert_id: finding for finding in findings_of(evaluation)}
    run = NotifyRun(findings, scope, rules, _maintenance(rules), unhealthy, datetime.now(UTC), tenant_zones())
    with open_store(pipeline) as store:
        outbox.recover(store, {channel.name: channel for channel in channels})
        with store.transaction():
            _update_alerts(store, run)
            for channel in channels:
                _queue_messages(store, channel, run)
            _delete_closed(store, channels)
            store.delete_sent(run.now - outbox.SENT_RETENTION)
        failed = outbox.deliver(store, channels, lambda: datetime.now(UTC))
    if failed:
        raise NotificationError(_failure_text(failed))


def _failure_text(failed: Sequence[Delivery]) -> str:
    """Return the errors of messages, and what becomes of the messages."""
    errors = dict.fromkeys(delivery.error or "" for delivery in failed)
    waiting = sum(delivery.state is DeliveryState.pending for delivery in failed)
    later = [f"A later run sends {'it' if waiting == 1 else 'them'}."] if waiting else []
    dead = ", ".join(dict.fromkeys(delivery.channel for delivery in failed if delivery.state is DeliveryState.dead))
    given_up = [f"No later run sends the message of {dead}. Run: m365-jobs alerts --resend."] if dead else []
    return " ".join([*errors, *later, *given_up])


def _update_alerts(store: AlertStore, run: NotifyRun) -> None:
    """Save the alerts that the evaluation opens, updates or closes, and delete those that never opened."""
    alerts = {alert.id: alert for alert in store.alerts()}
    changes = lifecycle.advance(alerts, run.findings.values(), run.scope, run.rules, run.now)
    for alert in changes.saved:
        store.save_alert(alert)
    for alert_id in changes.deleted:
        store.delete_alert(alert_id)


def _queue_messages(store: AlertStore, channel: Channel, run: NotifyRun) -> None:
    """Put the messages of a channel into the outbox, and record the state that they announce."""
    announced = store.announcements(channel.name)
    events = list(_channel_events(store.alerts(), announced, channel, run))
    for event in events:
        finding = event.alert.finding
        if event.kind is EventKind.closed:
            store.delete_announcement(channel.name, event.alert.id)
        else:
            announcement = Announcement(finding.severity, finding.measure, run.now)
            store.save_announcement(channel.name, event.alert.id, announcement)
    events = channel.events(events)
    messages = [[event] for event in events] if channel.one_event_per_message else [events] if events else []
    healthy = not any(channel.covers(tenant) for tenant in run.unhealthy)
    for message in messages:
        delivery_id = str(uuid.uuid4())
        body = channel.body(delivery_id, message, healthy)
        store.save_delivery(Delivery(delivery_id, channel.name, body, DeliveryState.pending, 0, run.now, run.now))


def _channel_events(
    alerts: Sequence[Alert], announced: dict[str, Announcement], channel: Channel, run: NotifyRun
) -> Iterator[Event]:
    """Yield the events for a channel, in the order of health, without those in a maintenance window."""
    min_rank = lifecycle.SEVERITY_RANK[str(channel.config.values.get("min_severity", "warning"))]
    order = {alert_id: index for index, alert_id in enumerate(run.findings)}
    for alert in sorted(alerts, key=lambda alert: order.get(alert.id, len(order))):
        finding = alert.finding
        if not run.scope.covers(finding):
            continue
        zone = run.zones.get(finding.tenant or "", run.zones[""])
        if run.maintenance.is_active(finding.tenant, run.now, parse_zone(zone, f"{SECTION}.timezone")):
            continue
        is_wanted = channel.covers(finding.tenant) and lifecycle.SEVERITY_RANK.get(finding.severity, 0) >= min_rank
        if alert.id not in announced and not is_wanted:
            continue
        event = lifecycle.event_for(alert, announced.get(alert.id), run.now)
        if event:
            yield event


def _delete_closed(store: AlertStore, channels: Sequence[Channel]) -> None:
    """Delete closed alerts that no channel has announced as open."""
    announced = {alert_id for channel in channels for alert_id in store.announcements(channel.name)}
    for alert in store.alerts():
        if alert.closed_at and alert.id not in announced:
            store.delete_alert(alert.id)


@dataclass(frozen=True)
class Acknowledgement:
    """Describe who works on alerts, and until when channels get no message about them (UTC)."""

    owner: str
    until: datetime
    note: str | None = None


def acknowledge_alerts(
    pipeline: Target, ids: Sequence[str], tenants: Sequence[str], by: Acknowledgement
) -> list[Alert]:
    """Record an acknowledgement of the open alerts with these ids, and of all of these tenants; return the alerts.

    Raises:
        UsageError: for an alert that is not open, a tenant without open alerts, and an expiry in the past.
    """
    if by.until <= datetime.now(UTC):
        raise UsageError("The acknowledgement would end in the past. Give a later time, or --for 8h.")
    with open_store(pipeline) as store, store.transaction():
        alerts = {alert.id: alert for alert in store.alerts() if alert.opened_at and not alert.closed_at}
        for alert_id in ids:
            if alert_id not in alerts:
                raise UsageError(f"Alert not found: {alert_id}. Open alerts: {listed(sorted(alerts)) or 'none'}.")
        for tenant in tenants:
            if not any(alert.finding.tenant == tenant for alert in alerts.values()):
                raise UsageError(f"No alert of {tenant} is open.")
        acknowledged = [
            replace(alert, owner=by.owner, acknowledged_until=by.until, note=by.note)
            for alert in alerts.values()
            if alert.id in ids or alert.finding.tenant in tenants
        ]
        for alert in acknowledged:
            store.save_alert(alert)
    return acknowledged


def resend(pipeline: Target) -> int:
    """Make undelivered messages due again, and return their number."""
    with open_store(pipeline) as store, store.transaction():
        return outbox.requeue(store)


def _maintenance(rules: AlertRules) -> Maintenance:
    """Return the configured maintenance windows.

    Raises:
        ConfigurationError: for an invalid window.
    """
    of_all = [parse_maintenance_window(text, "alerts.maintenance") for text in rules.maintenance]
    by_tenant = {
        name: [parse_maintenance_window(text, f"alerts.maintenance_of.{name}") for text in texts]
        for name, texts in rules.maintenance_of.items()
    }
    return Maintenance(of_all, by_tenant)
