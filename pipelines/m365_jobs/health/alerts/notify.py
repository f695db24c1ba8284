"""Turn an evaluation of health into alerts, and deliver what changed to every channel."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.config.alerts import AlertRules, alert_rules
from m365_jobs.config.tenants import configured, setting
from m365_jobs.errors.explain import NotificationError, UsageError
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
    """Hold what one call of ``notify`` works with."""

    findings: Mapping[str, AlertFinding]
    """By the id of the alert, in the order of health."""
    scope: lifecycle.AlertScope
    rules: AlertRules
    maintenance: Maintenance
    healthy: bool
    now: datetime


def notify(evaluation: Evaluation, pipeline: Target, tenants: Sequence[str], channels: Sequence[Channel]) -> None:
    """Record the alerts of an evaluation and send what changed.

    Raises:
        ConfigurationError: for rules or windows that are invalid.
        NotificationError: if a receiver does not accept a message. A later run sends it.
    """
    rules = alert_rules()
    scope = lifecycle.AlertScope(frozenset(tenants))
    healthy = not evaluation.problems
    findings = {finding.alert_id: finding for finding in findings_of(evaluation)}
    run = NotifyRun(findings, scope, rules, _maintenance(rules), healthy, datetime.now(UTC))
    with open_store(pipeline) as store:
        outbox.recover(store, {channel.name: channel for channel in channels})
        with store.transaction():
            record(store, run)
            for channel in channels:
                _announce(store, channel, run)
            _forget(store, channels)
            store.delete_sent(run.now - outbox.KEEP_SENT)
        failures = outbox.deliver(store, channels, lambda: datetime.now(UTC))
    if failures:
        raise NotificationError(" ".join(dict.fromkeys(failures)))


def record(store: AlertStore, run: NotifyRun) -> None:
    """Save what an evaluation changes of the alerts."""
    alerts = {alert.id: alert for alert in store.alerts()}
    for change in lifecycle.advance(alerts, run.findings.values(), run.scope, run.rules, run.now):
        if isinstance(change, str):
            store.delete(change)
        else:
            store.save(change)


def _announce(store: AlertStore, channel: Channel, run: NotifyRun) -> None:
    announced = store.announcements(channel.name)
    events = list(_events(store.alerts(), announced, channel, run))
    for event in events:
        finding = event.alert.finding
        if event.kind is EventKind.closed:
            store.retract(channel.name, event.alert.id)
        else:
            store.announce(channel.name, event.alert.id, Announcement(finding.severity, finding.measure, run.now))
    shown = channel.events(events)
    messages = [[event] for event in shown] if channel.one_event_per_message else [shown] if shown else []
    for message in messages:
        delivery_id = str(uuid.uuid4())
        body = channel.body(delivery_id, message, run.healthy)
        store.add(Delivery(delivery_id, channel.name, body, DeliveryState.pending, 0, run.now, run.now))


def _events(
    alerts: Sequence[Alert], announced: dict[str, Announcement], channel: Channel, run: NotifyRun
) -> Iterator[Event]:
    least = lifecycle.SEVERITY_RANK[str(channel.config.values.get("min_severity", "warning"))]
    order = {alert_id: index for index, alert_id in enumerate(run.findings)}
    for alert in sorted(alerts, key=lambda alert: order.get(alert.id, len(order))):
        finding = alert.finding
        if not run.scope.covers(finding) or run.maintenance.holds(finding.tenant, run.now, _zone(finding.tenant)):
            continue
        if alert.id not in announced and lifecycle.SEVERITY_RANK.get(finding.severity, 0) < least:
            continue
        event = lifecycle.event_for(alert, announced.get(alert.id), run.now)
        if event:
            yield event


def _forget(store: AlertStore, channels: Sequence[Channel]) -> None:
    """Delete closed alerts that no channel has to be told of any more."""
    waiting = {alert_id for channel in channels for alert_id in store.announcements(channel.name)}
    for alert in store.alerts():
        if alert.closed_at and alert.id not in waiting:
            store.delete(alert.id)


def acknowledge_alert(pipeline: Target, alert_id: str, owner: str, until: datetime, note: str | None = None) -> Alert:
    """Record the person who works on an alert, and until when channels stay silent about it.

    Raises:
        UsageError: for an alert that is not open, and for an expiry in the past.
    """
    if until <= datetime.now(UTC):
        raise UsageError("The acknowledgement would end in the past. Give a later time, or --for 8h.")
    with open_store(pipeline) as store, store.transaction():
        alerts = {alert.id: alert for alert in store.alerts() if alert.opened_at and not alert.closed_at}
        if alert_id not in alerts:
            known = ", ".join(sorted(alerts)) or "none"
            raise UsageError(f"Alert not found: {alert_id}. Open alerts: {known}.")
        alert = replace(alerts[alert_id], owner=owner, acknowledged_until=until, note=note)
        store.save(alert)
    return alert


def resend(pipeline: Target) -> int:
    """Make messages that did not arrive due again, and return how many there are."""
    with open_store(pipeline) as store, store.transaction():
        return outbox.requeue(store)


def _maintenance(rules: AlertRules) -> Maintenance:
    everyone = [parse_maintenance_window(text, "alerts.maintenance") for text in rules.maintenance]
    of_tenant = {
        name: [parse_maintenance_window(text, f"alerts.maintenance_of.{name}") for text in texts]
        for name, texts in rules.maintenance_of.items()
    }
    return Maintenance(everyone, of_tenant)


def _zone(tenant: str | None) -> tzinfo:
    """Return the time zone of a tenant: weekly windows are in it."""
    own = setting(tenant, "timezone", str) if tenant in configured() and tenant else None
    name = own or dlt.config.get(f"{SECTION}.timezone") or "UTC"
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"timezone = {name!r} is unknown. Write a name such as Europe/Berlin.") from None
