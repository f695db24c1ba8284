"""Show open alerts and the outbox, as JSON and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.health.alerts.models import Alert, Delivery, DeliveryState
from m365_jobs.health.alerts.store import read_open
from m365_jobs.text import format_count, sanitize
from m365_jobs.warehouse.target import Target


def alerts_document(pipeline: Target, tenants: Sequence[str] = ()) -> dict[str, Any]:
    """Return the open alerts and the messages that did not arrive. Times are ISO 8601 in UTC."""
    alerts, undelivered = read_open(pipeline, tenants)
    now = datetime.now(UTC)
    return {
        "alerts": [_alert(alert, now) for alert in alerts],
        "undelivered": [_delivery(delivery) for delivery in undelivered],
    }


def alert_tables(shown: Mapping[str, Any]) -> Iterator[Any]:
    """Yield tables for a terminal of 80 columns."""
    if not shown["alerts"]:
        yield Text("No alert is open.")
    else:
        table = Table("Alert", "Kind", "Where and what", "Owner", box=SIMPLE, padding=(0, 1, 0, 0))
        for alert in shown["alerts"]:
            where = "/".join(filter(None, (alert["tenant"], alert["location"], alert["object_type"])))
            text = Text(sanitize(f"{where}: {alert['text']}" if where else alert["text"]))
            owner = Text(sanitize(alert["owner"] or "-")) if alert["acknowledged"] else Text("-")
            table.add_row(alert["id"], alert["kind"].replace("_", " "), text, owner)
        table.columns[0].no_wrap = True
        yield table
    yield from undelivered_lines(shown["undelivered"])


def undelivered_lines(deliveries: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Yield a line for each state of messages that did not arrive."""
    groups = {
        DeliveryState.dead: "not delivered; the channel was tried {attempts} times. Run: m365-jobs alerts --resend",
        DeliveryState.uncertain: "may not have arrived, since the process ended. Run: m365-jobs alerts --resend",
        DeliveryState.pending: "waiting for the receiver; the next run of health --notify tries again",
    }
    for state, text in groups.items():
        of_state = [delivery for delivery in deliveries if delivery["state"] == state]
        if of_state:
            channels = ", ".join(sorted({delivery["channel"] for delivery in of_state}))
            last = of_state[-1]
            reason = f" Last error: {last['error']}" if last["error"] else ""
            count = f"{format_count(len(of_state), 'alert message')} of {channels}"
            yield Text(sanitize(f"{count}: {text.format(attempts=last['attempts'])}.{reason}"))


def _alert(alert: Alert, now: datetime) -> dict[str, Any]:
    return {
        "id": alert.id,
        **alert.finding.columns,
        "opened_at": alert.opened_at.isoformat() if alert.opened_at else None,
        "acknowledged": alert.is_acknowledged(now),
        "owner": alert.owner,
        "acknowledged_until": alert.acknowledged_until.isoformat() if alert.acknowledged_until else None,
        "note": alert.note,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "channel": delivery.channel,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at.isoformat(),
        "next_attempt_at": delivery.next_attempt_at.isoformat(),
        "error": delivery.error,
    }
