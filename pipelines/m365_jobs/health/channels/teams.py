"""Send alerts to Microsoft Teams: an adaptive card for each run, through the webhook of a workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels import digest
from m365_jobs.health.channels.base import Channel, ChannelSettings, Setting
from m365_jobs.health.channels.http import check_url, post

CARD = "application/vnd.microsoft.card.adaptive"

MAX_CHARACTERS = 400
"""Characters of a line. A workflow refuses a card of more than 28 KB."""


class Teams(Channel):
    """Send a card to a channel of Microsoft Teams."""

    type = "teams"
    settings: ClassVar[Mapping[str, Setting]] = {
        "url": Setting("webhook URL of the workflow", required=True, secret=True)
    }

    def __init__(self, settings: ChannelSettings) -> None:
        super().__init__(settings)
        self._url = check_url(settings.text("url"), f"alerts.channels.{settings.name}.url")

    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the message that a workflow's "post card" action expects."""
        blocks = [_block(digest.headline(healthy), weight="Bolder", color="Good" if healthy else "Attention")]
        for part in digest.parts(events):
            blocks.append(_block(part.title, weight="Bolder", separator=True))
            blocks += [_block(f"{_kind(event)}: {digest.event_line(event)}"[:MAX_CHARACTERS]) for event in part.events]
            if part.omitted:
                blocks.append(_block(f"… and {part.omitted} more: run m365-jobs health", isSubtle=True))
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
        }
        attachment = {"contentType": CARD, "contentUrl": None, "content": card}
        return json.dumps({"type": "message", "attachments": [attachment]})

    def send(self, delivery_id: str, body: str) -> None:
        """Send the card with POST."""
        post("Microsoft Teams", self._url, body, {}, self.config.timeout_seconds)


def _block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _escaped(text), "wrap": True, **more}


def _kind(event: Event) -> str:
    return event.alert.finding.kind.replace("_", " ")


def _escaped(text: str) -> str:
    """Return a text in which nothing becomes a link, a list or emphasis."""
    for sign in "\\*_[]`":
        text = text.replace(sign, f"\\{sign}")
    return text
