"""Define the base class of delivery channels, and their settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from m365_jobs.errors.exceptions import NotificationError
from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels.redact import redact
from m365_jobs.text import sanitize

MAX_TEXT_CHARACTERS = 1_000
"""Characters after which a text in a message is cut."""


class DeliveryError(NotificationError):
    """Report a receiver that did not accept a message."""

    def __init__(self, text: str, retry_after: float = 0.0, *, is_refused: bool = False) -> None:
        """Report ``text``; ``retry_after`` is the wait in seconds that the receiver requests.

        ``is_refused`` is true if the receiver refuses this message for good, for instance since it is too long.
        """
        super().__init__(text)
        self.retry_after = retry_after
        self.is_refused = is_refused


@dataclass(frozen=True)
class Setting:
    """Describe a key of a channel in ``alerts.channels.<name>``."""

    help: str
    kind: type = str
    """Type of the value."""
    default: Any = None
    required: bool = False
    secret: bool = False


@dataclass(frozen=True)
class ChannelSettings:
    """Hold the validated settings of a channel."""

    name: str
    """Name of the section in ``alerts.channels``."""
    values: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 60.0

    def text(self, key: str) -> str:
        """Return a setting as text, empty if it is not set."""
        return str(self.values.get(key) or "")


COMMON_SETTINGS: Mapping[str, Setting] = {
    "type": Setting("channel type; the name of the section if unset"),
    "redact": Setting("replace mailbox names and URLs in texts", bool, True),
    "min_severity": Setting("`problem` leaves warnings out", str, "warning"),
    "tenants": Setting("tenants whose alerts and reports it gets; everything if unset", list),
}


class Channel(ABC):
    """Deliver alerts to one receiver."""

    type: ClassVar[str]
    settings: ClassVar[Mapping[str, Setting]]
    one_event_per_message: ClassVar[bool] = False
    """True sends a message for each event, False one for all events of a run."""
    repeats_safely: ClassVar[bool] = False
    """True if the receiver detects a message that it gets twice, so that a crash may send it again."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.config = settings

    @property
    def name(self) -> str:
        """Return the name of the channel's section."""
        return self.config.name

    def covers(self, *tenants: str | None) -> bool:
        """Return whether the channel may get what concerns these tenants; no tenant, or None, stands for all."""
        own = self.config.values.get("tenants")
        return own is None or (bool(tenants) and set(own).issuperset(tenants))

    def events(self, events: Sequence[Event]) -> list[Event]:
        """Return the events with sanitized, shortened and, if configured, redacted texts."""
        redact_text = redact if self.config.values.get("redact", True) else str
        return [_with_texts(event, lambda text: sanitize(redact_text(text))[:MAX_TEXT_CHARACTERS]) for event in events]

    def subject(self, body: str) -> str:
        """Return what a stored message is about; messages about the same keep their order."""
        return self.name

    @abstractmethod
    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return the JSON document that the outbox stores and ``send`` gets; ``healthy`` is the verdict of the run."""

    @abstractmethod
    def send(self, delivery_id: str, body: str) -> None:
        """Send a stored message.

        Raises:
            DeliveryError: if the receiver does not accept it. The text contains no URL and no secret.
        """


def _with_texts(event: Event, clean: Callable[[str], str]) -> Event:
    """Return an event whose texts went through ``clean``; they contain texts of the API."""
    finding = replace(event.alert.finding, text=clean(event.alert.finding.text))
    note = clean(event.alert.note) if event.alert.note else event.alert.note
    return replace(event, alert=replace(event.alert, finding=finding, note=note), detail=clean(event.detail))
