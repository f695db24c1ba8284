"""Draw open alerts and undelivered messages for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.health.alerts.models import DeliveryState
from m365_jobs.health.finding import partition_label
from m365_jobs.text import format_count, sanitize


def alert_tables(document: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Yield an ``alerts_document`` as tables and lines for a terminal of 80 columns."""
    if not document["alerts"]:
        yield Text("No alert is open.")
    else:
        table = Table("Alert", "Kind", "Where and what", "Owner", box=SIMPLE, padding=(0, 1, 0, 0))
        for alert in document["alerts"]:
            partition = partition_label(alert["tenant"], alert["location"], alert["object_type"])
            text = Text(sanitize(f"{partition}: {alert['text']}" if partition else alert["text"]))
            owner = Text(sanitize(alert["owner"] or "-")) if alert["acknowledged"] else Text("-")
            table.add_row(alert["id"], alert["kind"].replace("_", " "), text, owner)
        table.columns[0].no_wrap = True
        yield table
    yield from undelivered_lines(document["undelivered"])


def undelivered_lines(deliveries: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Yield a line for each state of undelivered messages."""
    texts = {
        DeliveryState.dead: "not delivered; the channel was tried {attempts} times. Run: m365-jobs alerts --resend",
        DeliveryState.uncertain: "may not have arrived, since the process ended. Run: m365-jobs alerts --resend",
        DeliveryState.pending: "waiting for the receiver; the next run of health --notify tries again",
    }
    for state, text in texts.items():
        of_state = [delivery for delivery in deliveries if delivery["state"] == state]
        if of_state:
            channels = ", ".join(sorted({delivery["channel"] for delivery in of_state}))
            last = of_state[-1]
            reason = f" Last error: {last['error']}" if last["error"] else ""
            count = f"{format_count(len(of_state), 'alert message')} of {channels}"
            yield Text(sanitize(f"{count}: {text.format(attempts=last['attempts'])}.{reason}"))
