"""Send webhooks: one signed JSON document for each event.

The headers follow the Standard Webhooks specification, so its libraries verify a message. ``webhook-id`` stays the
same when a message is sent again, so a receiver detects a repetition.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.health.alerts.models import Alert, Event, iso_time
from m365_jobs.health.channels.base import Channel, ChannelSettings, Setting
from m365_jobs.health.channels.http import check_url, post
from m365_jobs.health.finding import action_of

SECRET_PREFIX = "whsec_"
"""Prefix of a signing key in base64, as in Standard Webhooks."""


class Webhook(Channel):
    """Send JSON with every field of the alert, signed with HMAC-SHA256."""

    type = "webhook"
    one_event_per_message = True
    repeats_safely = True
    settings: ClassVar[Mapping[str, Setting]] = {
        "url": Setting("https URL of the receiver", required=True, secret=True),
        "secret": Setting("key of the signature: `whsec_` and base64, or any text", required=True, secret=True),
    }

    def __init__(self, settings: ChannelSettings) -> None:
        super().__init__(settings)
        section = f"alerts.channels.{settings.name}"
        self._url = check_url(settings.text("url"), f"{section}.url")
        self._key = _signing_key(settings.text("secret"), f"{section}.secret")

    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the JSON document of one event."""
        (event,) = events
        return json.dumps(
            {
                "version": 1,
                "delivery_id": delivery_id,
                "event": event.kind,
                "title": event.title,
                "detail": event.detail,
                "healthy": healthy,
                "alert": alert_document(event.alert),
            }
        )

    def subject(self, body: str) -> str:
        """Return the id of the alert."""
        return str(json.loads(body)["alert"]["id"])

    def send(self, delivery_id: str, body: str) -> None:
        """Sign the document, and send it with POST."""
        timestamp = str(int(time.time()))
        headers = {
            "webhook-id": delivery_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign_message(self._key, delivery_id, timestamp, body),
        }
        post(f"Channel {self.name}", self._url, body, headers, self.config.timeout_seconds)


def sign_message(key: bytes, delivery_id: str, timestamp: str, body: str) -> str:
    """Return the value of the header ``webhook-signature``; ``timestamp`` is in Unix seconds."""
    digest = hmac.new(key, f"{delivery_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def alert_document(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON values. Times are ISO 8601 in UTC."""
    return {
        "id": alert.id,
        **alert.finding.columns,
        "action": action_of(alert.finding.kind),
        "first_seen_at": iso_time(alert.first_seen_at),
        "last_seen_at": iso_time(alert.last_seen_at),
        "opened_at": iso_time(alert.opened_at),
        "closed_at": iso_time(alert.closed_at),
        "owner": alert.owner,
        "acknowledged_until": iso_time(alert.acknowledged_until),
    }


def _signing_key(secret: str, setting: str) -> bytes:
    """Return the bytes of a signing key.

    Raises:
        ConfigurationError: for invalid base64. ``setting`` is its name, for the message.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigurationError(f"{setting} is not base64 after whsec_. Copy the whole secret.") from None
