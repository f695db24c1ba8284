"""Send alerts to Microsoft Teams: an adaptive card for each run, through the webhook of a workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels import digest
from m365_jobs.health.channels.base import Channel, ChannelSettings, Setting
from m365_jobs.health.channels.http import check_url, post

CARD_CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"

MAX_LINE_CHARACTERS = 400
"""Characters after which a line is cut."""

MAX_BYTES = 27_000
"""Length of a message. A workflow refuses one of more than 28 KB."""


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
        return digest.longest_fitting(lambda limit: _message(events, healthy, limit), MAX_BYTES)

    def send(self, delivery_id: str, body: str) -> None:
        """Send the card with POST."""
        post("Microsoft Teams", self._url, body, {}, self.config.timeout_seconds)


def _message(events: Sequence[Event], healthy: bool, limit: int) -> str:
    blocks = [_text_block(digest.headline(healthy), weight="Bolder", color="Good" if healthy else "Attention")]
    for group in digest.group_events(events, limit):
        blocks.append(_text_block(group.title, weight="Bolder", separator=True))
        blocks += [_text_block(_event_line(event)) for event in group.events]
        if group.others:
            blocks.append(_text_block(f"… {group.others_text}", isSubtle=True))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    attachment = {"contentType": CARD_CONTENT_TYPE, "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment]})


def _text_block(text: str, **properties: str | bool) -> dict[str, Any]:
    """Return a text block of an adaptive card."""
    return {"type": "TextBlock", "text": _escape(text), "wrap": True, **properties}


def _event_line(event: Event) -> str:
    return f"{event.alert.finding.kind_label}: {digest.event_line(event)}"[:MAX_LINE_CHARACTERS]


def _escape(text: str) -> str:
    """Return a text with escaped Markdown, so that no link, list or emphasis is created."""
    for character in "\\*_[]`":
        text = text.replace(character, f"\\{character}")
    return text
