"""Open, update and close alerts from the findings of an evaluation. Pure functions: no file, no network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from m365_jobs.config.alerts import AlertRules
from m365_jobs.health.alerts.models import Alert, AlertFinding, Announcement, Event, EventKind
from m365_jobs.health.checks import CHECKS

SEVERITY_RANK = {"warning": 0, "problem": 1}
"""Severity to its rank; a higher rank is more severe."""

WORSE_FACTOR = 2.0
"""Factor by which a measure grows since the last message until the channel gets another: 2, 4, 8 failures."""

NO_DATA_KINDS = frozenset(check.kind for check in CHECKS if check.is_no_data)
"""Kinds of findings about missing data. While one exists, other findings of its scope are unknown, so none closes."""


@dataclass(frozen=True)
class AlertScope:
    """Name the tenants that an evaluation covers; all of them if empty."""

    tenants: frozenset[str] = frozenset()

    def covers(self, finding: AlertFinding) -> bool:
        """Return True if the evaluation covers the tenant of a finding."""
        return not self.tenants or finding.tenant in self.tenants


@dataclass
class AlertChanges:
    """Hold what an evaluation changes: the alerts to save, and the ids of those that end before they opened."""

    saved: list[Alert] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def advance(
    alerts: Mapping[str, Alert], findings: Iterable[AlertFinding], scope: AlertScope, rules: AlertRules, now: datetime
) -> AlertChanges:
    """Return what an evaluation changes in the alerts. ``now`` is in UTC."""
    current = {finding.alert_id: finding for finding in findings}
    no_data = {(finding.tenant, finding.object_type) for finding in current.values() if finding.kind in NO_DATA_KINDS}
    changes = AlertChanges(
        [_updated(alerts.get(alert_id), finding, rules, now) for alert_id, finding in current.items()]
    )
    for alert_id, alert in alerts.items():
        if alert_id in current or alert.closed_at or not scope.covers(alert.finding):
            continue
        if _is_hidden(alert.finding, no_data):
            continue
        if alert.opened_at:
            changes.saved.append(replace(alert, closed_at=now))
        else:
            changes.deleted.append(alert_id)
    return changes


def _updated(alert: Alert | None, finding: AlertFinding, rules: AlertRules, now: datetime) -> Alert:
    """Return the alert of a finding, opened if it occurred as often and as long as the rules demand."""
    if alert is None or alert.closed_at:
        alert = Alert(finding.alert_id, finding, first_seen_at=now, last_seen_at=now, evaluations=0)
    alert = replace(alert, finding=finding, last_seen_at=now, evaluations=alert.evaluations + 1)
    is_due = alert.evaluations >= rules.after_runs and now - alert.first_seen_at >= rules.after
    return replace(alert, opened_at=now) if is_due and not alert.opened_at else alert


def _is_hidden(finding: AlertFinding, no_data: Collection[tuple[str | None, str | None]]) -> bool:
    """Return True if the data of a finding is missing; ``no_data`` has the tenants and object types without data."""
    if finding.kind in NO_DATA_KINDS or finding.object_type is None:
        return False
    return (finding.tenant, None) in no_data or (finding.tenant, finding.object_type) in no_data


def event_for(alert: Alert, announced: Announcement | None, now: datetime) -> Event | None:
    """Return the event of an alert for a channel; None if the channel has announced the current state."""
    if alert.closed_at:
        return Event(EventKind.closed, alert) if announced else None
    if not alert.opened_at or alert.is_acknowledged(now):
        return None
    if announced is None:
        return Event(EventKind.opened, alert)
    until = alert.acknowledged_until
    if until and announced.announced_at < until <= now:
        return Event(EventKind.worse, alert, f"The acknowledgement of {alert.owner} ended.")
    return Event(EventKind.worse, alert) if _is_worse(alert.finding, announced) else None


def _is_worse(finding: AlertFinding, announced: Announcement) -> bool:
    if SEVERITY_RANK.get(finding.severity, 0) > SEVERITY_RANK.get(announced.severity, 0):
        return True
    return announced.measure > 0 and finding.measure >= WORSE_FACTOR * announced.measure
