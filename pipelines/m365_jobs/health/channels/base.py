"""Define what every delivery channel has: settings, a message made of events, and a way to send it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from m365_jobs.errors.explain import NotificationError
from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels.redact import redact
from m365_jobs.text import sanitize

MAX_TEXT = 1_000
"""Characters of a text in a message."""


class DeliveryError(NotificationError):
    """Report a receiver that did not accept a message. ``retry_after`` is the requested wait in seconds."""

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Setting:
    """Describe a key of a channel in ``alerts.channels.<name>``."""

    help: str
    kind: type = str
    default: Any = None
    required: bool = False
    secret: bool = False


@dataclass(frozen=True)
class ChannelSettings:
    """Hold the checked settings of a channel."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 60.0

    def text(self, key: str) -> str:
        """Return a setting as text, empty if it is not set."""
        return str(self.values.get(key) or "")


COMMON_SETTINGS: Mapping[str, Setting] = {
    "type": Setting("channel type; the name of the section if unset"),
    "redact": Setting("replace mailbox names and URLs in texts", bool, True),
    "min_severity": Setting("`problem` leaves warnings out", str, "warning"),
}


class Channel(ABC):
    """Deliver alerts to one place."""

    type: ClassVar[str]
    settings: ClassVar[Mapping[str, Setting]]
    one_event_per_message: ClassVar[bool] = False
    """A receiver that handles alerts one by one gets a message for each event. Others get one for each run."""
    repeats_safely: ClassVar[bool] = False
    """The receiver recognizes a message that it gets twice. After a crash the message is sent again."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.config = settings

    @property
    def name(self) -> str:
        """Return the name of the channel's section."""
        return self.config.name

    def events(self, events: Sequence[Event]) -> list[Event]:
        """Return the events as this channel may show them."""
        hide = redact if self.config.values.get("redact", True) else str
        return [_shown(event, lambda text: sanitize(hide(text))[:MAX_TEXT]) for event in events]

    @abstractmethod
    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the JSON document to be stored in the outbox and sent."""

    @abstractmethod
    def send(self, delivery_id: str, body: str) -> None:
        """Send a message.

        Raises:
            DeliveryError: if the receiver does not accept it. The text holds no URL and no secret.
        """


def _shown(event: Event, show: Callable[[str], str]) -> Event:
    """Return an event whose texts, which hold words of the API, are changed by ``show``."""
    finding = replace(event.alert.finding, text=show(event.alert.finding.text))
    note = show(event.alert.note) if event.alert.note else event.alert.note
    return replace(event, alert=replace(event.alert, finding=finding, note=note), detail=show(event.detail))
