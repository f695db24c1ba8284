"""Open, update and close alerts from the findings of an evaluation. Pure functions: no file, no network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from m365_jobs.config.alerts import AlertRules
from m365_jobs.health.alerts.models import Alert, AlertFinding, Announcement, Event, EventKind
from m365_jobs.health.checks import CHECKS

SEVERITY_RANK = {"warning": 0, "problem": 1}

WORSE_FACTOR = 2.0
"""An alert got worse if its measure grew by this factor since the channel was told: 2, 4, 8 failures in a row."""

NO_DATA_KINDS = frozenset(check.kind for check in CHECKS if check.is_no_data)
"""Findings that say that the data is missing. They hide other findings, so they close no alert."""


@dataclass(frozen=True)
class AlertScope:
    """Name the tenants that an evaluation covers; all of them if empty."""

    tenants: frozenset[str] = frozenset()

    def covers(self, finding: AlertFinding) -> bool:
        """Return true if the evaluation would have had this finding."""
        return not self.tenants or finding.tenant in self.tenants


def advance(
    alerts: Mapping[str, Alert], findings: Iterable[AlertFinding], scope: AlertScope, rules: AlertRules, now: datetime
) -> Iterator[Alert | str]:
    """Yield every alert that an evaluation changes, and the id of every alert that is to be deleted."""
    current = {finding.alert_id: finding for finding in findings}
    blind = {(finding.tenant, finding.object_type) for finding in current.values() if finding.kind in NO_DATA_KINDS}
    for alert_id, finding in current.items():
        yield _seen(alerts.get(alert_id), finding, rules, now)
    for alert_id, alert in alerts.items():
        if alert_id in current or alert.closed_at or not scope.covers(alert.finding):
            continue
        if _is_hidden(alert.finding, blind):
            continue
        yield replace(alert, closed_at=now) if alert.opened_at else alert_id


def _seen(alert: Alert | None, finding: AlertFinding, rules: AlertRules, now: datetime) -> Alert:
    if alert is None or alert.closed_at:
        alert = Alert(finding.alert_id, finding, first_seen_at=now, last_seen_at=now, evaluations=0)
    alert = replace(alert, finding=finding, last_seen_at=now, evaluations=alert.evaluations + 1)
    waited = alert.evaluations >= rules.after_runs and now - alert.first_seen_at >= rules.after
    return replace(alert, opened_at=now) if waited and not alert.opened_at else alert


def _is_hidden(finding: AlertFinding, blind: Collection[tuple[str | None, str | None]]) -> bool:
    if finding.kind in NO_DATA_KINDS or finding.object_type is None:
        return False
    return (finding.tenant, None) in blind or (finding.tenant, finding.object_type) in blind


def event_for(alert: Alert, announced: Announcement | None, now: datetime) -> Event | None:
    """Return what a channel must be told of an alert; None if there is nothing new."""
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
