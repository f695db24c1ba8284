"""Return open alerts and the outbox as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from m365_jobs.health.alerts.models import Alert, Delivery, iso_time
from m365_jobs.health.alerts.store import read_open_alerts
from m365_jobs.health.finding import RANKS
from m365_jobs.warehouse.target import Target


def alerts_document(pipeline: Target, tenants: Sequence[str] = ()) -> dict[str, Any]:
    """Return the open alerts, the most severe first, and the undelivered messages as JSON values.

    Times are ISO 8601 in UTC.
    """
    alerts, undelivered = read_open_alerts(pipeline, tenants)
    alerts.sort(key=_by_severity)
    now = datetime.now(UTC)
    return {
        "alerts": [_alert_values(alert, now) for alert in alerts],
        "undelivered": [_delivery_values(delivery) for delivery in undelivered],
    }


def _by_severity(alert: Alert) -> tuple[int, str, str, str]:
    """Return the sort key of an alert, in the order of health; a kind that only another version has comes last."""
    finding = alert.finding
    rank = RANKS.get(finding.kind, len(RANKS))
    return rank, finding.tenant or "", finding.location or "", finding.object_type or ""


def _alert_values(alert: Alert, now: datetime) -> dict[str, Any]:
    return {
        "id": alert.id,
        **alert.finding.columns,
        "opened_at": iso_time(alert.opened_at),
        "acknowledged": alert.is_acknowledged(now),
        "owner": alert.owner,
        "acknowledged_until": iso_time(alert.acknowledged_until),
        "note": alert.note,
    }


def _delivery_values(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "channel": delivery.channel,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "created_at": iso_time(delivery.created_at),
        "next_attempt_at": iso_time(delivery.next_attempt_at),
        "error": delivery.error,
    }
