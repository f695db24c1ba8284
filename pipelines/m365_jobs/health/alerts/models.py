"""Define the data classes of alerts: findings, alerts, events and deliveries. All times are UTC."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from m365_jobs.health.finding import partition_label


class EventKind(StrEnum):
    """List the changes of an alert."""

    opened = "opened"
    worse = "worse"
    closed = "closed"


@dataclass(frozen=True)
class AlertFinding:
    """Describe a finding of health for an alert. None stands for all tenants, locations or object types."""

    kind: str
    severity: str
    tenant: str | None
    location: str | None
    object_type: str | None
    text: str
    measure: float = 1.0
    """Number that grows when the finding gets worse, such as failures in a row."""

    @property
    def kind_label(self) -> str:
        """Return the kind for people."""
        return self.kind.replace("_", " ")

    @property
    def partition_label(self) -> str:
        """Return tenant, location and object type for people; empty for the whole warehouse."""
        return partition_label(self.tenant, self.location, self.object_type)

    @property
    def columns(self) -> dict[str, str | None]:
        """Return the fields that every JSON document about the finding has."""
        names = ("kind", "severity", "tenant", "location", "object_type", "text")
        return {name: getattr(self, name) for name in names}

    @property
    def alert_id(self) -> str:
        """Return the id of the alert, 8 hexadecimal digits, made of tenant, location, object type and kind."""
        parts = json.dumps([self.tenant, self.location, self.object_type, self.kind])
        return hashlib.sha256(parts.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Alert:
    """Describe a finding over time."""

    id: str
    finding: AlertFinding
    first_seen_at: datetime
    last_seen_at: datetime
    evaluations: int
    """Number of evaluations that found it."""
    opened_at: datetime | None = None
    """None until enough evaluations have found it."""
    closed_at: datetime | None = None
    owner: str | None = None
    acknowledged_until: datetime | None = None
    note: str | None = None

    def is_acknowledged(self, now: datetime) -> bool:
        """Return True while an acknowledgement is valid."""
        return self.acknowledged_until is not None and now < self.acknowledged_until


@dataclass(frozen=True)
class Announcement:
    """Describe the state of an alert in the last message to a channel."""

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
        """Return the kind and the partition of the finding."""
        finding = self.alert.finding
        return " ".join(part for part in (finding.kind_label, finding.partition_label) if part)


class DeliveryState(StrEnum):
    """List the states of a delivery."""

    pending = "pending"
    in_flight = "in_flight"
    sent = "sent"
    uncertain = "uncertain"
    dead = "dead"


@dataclass(frozen=True)
class Delivery:
    """Describe one message of one channel."""

    id: str
    channel: str
    body: str
    """JSON that ``Channel.body`` made of the events."""
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    error: str | None = None


def iso_time(value: datetime | None) -> str | None:
    """Return a time in ISO 8601 and UTC; None for None."""
    return value.astimezone(UTC).isoformat() if value else None
