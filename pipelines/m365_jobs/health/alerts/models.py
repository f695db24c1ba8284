"""Define what the alert code passes around: findings, alerts, events and deliveries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """List the changes of an alert."""

    opened = "opened"
    worse = "worse"
    closed = "closed"


@dataclass(frozen=True)
class AlertFinding:
    """Describe a finding of health as an alert sees it. ``measure`` grows when the finding gets worse."""

    kind: str
    severity: str
    tenant: str | None
    location: str | None
    object_type: str | None
    text: str
    measure: float = 1.0

    @property
    def columns(self) -> dict[str, str | None]:
        """Return the values that every document about the finding has."""
        names = ("kind", "severity", "tenant", "location", "object_type", "text")
        return {name: getattr(self, name) for name in names}

    @property
    def alert_id(self) -> str:
        """Return the identity of the alert: the same tenant, service and kind give the same id."""
        parts = json.dumps([self.tenant, self.location, self.object_type, self.kind])
        return hashlib.sha256(parts.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Alert:
    """Describe a finding over time. ``opened_at`` is null while the alert waits for more evaluations."""

    id: str
    finding: AlertFinding
    first_seen_at: datetime
    last_seen_at: datetime
    evaluations: int
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    owner: str | None = None
    acknowledged_until: datetime | None = None
    note: str | None = None

    def is_acknowledged(self, now: datetime) -> bool:
        """Return true while an acknowledgement holds."""
        return self.acknowledged_until is not None and now < self.acknowledged_until


@dataclass(frozen=True)
class Announcement:
    """Describe the state of an alert that a channel received last."""

    severity: str
    measure: float
    announced_at: datetime


@dataclass(frozen=True)
class Event:
    """Describe a change of an alert that a channel must deliver."""

    kind: EventKind
    alert: Alert
    detail: str = ""

    @property
    def title(self) -> str:
        """Return the event in a few words, without the finding's text."""
        finding = self.alert.finding
        parts = [finding.tenant, finding.location, finding.object_type]
        place = "/".join(part for part in parts if part and part != "default")
        return " ".join(part for part in (finding.kind.replace("_", " "), place) if part)


class DeliveryState(StrEnum):
    """List the states of a delivery."""

    pending = "pending"
    in_flight = "in_flight"
    sent = "sent"
    uncertain = "uncertain"
    dead = "dead"


@dataclass(frozen=True)
class Delivery:
    """Describe one message of one channel. ``body`` is the JSON that the channel made when the events happened."""

    id: str
    channel: str
    body: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    error: str | None = None
