"""Send tickets: a webhook whose document has the common fields of ticket systems (PSA, ITSM)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from m365_jobs.health.alerts.models import Event, EventKind, iso_time
from m365_jobs.health.channels.webhook import Webhook
from m365_jobs.health.finding import action_of

ACTIONS = {EventKind.opened: "create", EventKind.worse: "update", EventKind.closed: "resolve"}
"""Kind of event to the action of the ticket."""

PRIORITIES = {"problem": "high", "warning": "medium"}
"""Severity to the priority of the ticket."""


class Ticket(Webhook):
    """Send a ticket for each alert: created, updated, resolved. ``external_id`` is the same for all three."""

    type = "ticket"

    def subject(self, body: str) -> str:
        """Return the id of the alert."""
        return str(json.loads(body)["external_id"])

    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the ticket of one event. Times are ISO 8601 in UTC."""
        (event,) = events
        finding = event.alert.finding
        description = "\n".join(part for part in (finding.text, event.detail, action_of(finding.kind)) if part)
        return json.dumps(
            {
                "action": ACTIONS[event.kind],
                "external_id": event.alert.id,
                "delivery_id": delivery_id,
                "summary": f"Microsoft 365 backup: {event.title}",
                "description": description,
                "priority": PRIORITIES.get(finding.severity, "medium"),
                "company": finding.tenant,
                "category": finding.kind,
                "service": finding.object_type,
                "source": "m365-jobs",
                "opened_at": iso_time(event.alert.opened_at),
                "resolved_at": iso_time(event.alert.closed_at),
            }
        )
