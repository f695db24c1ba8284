"""Send alerts to Slack: one message for each run, through an incoming webhook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration

from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels import digest
from m365_jobs.health.channels.base import Channel, ChannelSettings, Setting
from m365_jobs.health.channels.http import check_url, post

DLT_SETTING = "runtime.slack_incoming_hook"
"""Setting of dlt with the URL of an incoming webhook."""

MAX_BYTES = 38_000
"""Length of a message. Slack cuts a text after 40,000 characters."""


class Slack(Channel):
    """Send a message to a Slack channel."""

    type = "slack"
    settings: ClassVar[Mapping[str, Setting]] = {
        "url": Setting(f"incoming webhook; dlt's `{DLT_SETTING}` if unset", secret=True)
    }

    def __init__(self, settings: ChannelSettings) -> None:
        super().__init__(settings)
        url = settings.text("url") or str(resolve_configuration(RuntimeConfiguration()).slack_incoming_hook or "")
        if not url:
            raise ConfigurationError(
                f"Slack needs an incoming webhook. Set {DLT_SETTING} in .dlt/secrets.toml, or "
                "RUNTIME__SLACK_INCOMING_HOOK in the environment."
            )
        self._url = check_url(url, DLT_SETTING)

    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the message in Slack's markup, mrkdwn."""
        return digest.longest_fitting(lambda limit: _message(events, healthy, limit), MAX_BYTES)

    def send(self, delivery_id: str, body: str) -> None:
        """Send the message with POST."""
        post("Slack", self._url, body, {}, self.config.timeout_seconds)


def _message(events: Sequence[Event], healthy: bool, limit: int) -> str:
    lines = [f"*{digest.headline(healthy)}*"]
    for group in digest.group_events(events, limit):
        lines.append(f"{group.title}:")
        lines += [_event_line(event) for event in group.events]
        if group.others:
            lines.append(f"… {_escape(group.others_text)}")
    return json.dumps({"text": "\n".join(lines), "mrkdwn": True})


def _event_line(event: Event) -> str:
    return f"• *{event.alert.finding.kind_label}* {_escape(digest.event_line(event))}"


def _escape(text: str) -> str:
    """Return a text without control characters of mrkdwn, so that no link or mention is created."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
