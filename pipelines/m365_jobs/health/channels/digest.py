"""Write lines of a message for people: one message holds all events of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from m365_jobs.health.alerts.models import Event, EventKind
from m365_jobs.health.reasons import action_of

MAX_LINES = 30
"""Lines of each part. Chat systems cut a long message anywhere."""

TITLES = {EventKind.opened: "New", EventKind.worse: "Worse", EventKind.closed: "Over"}


@dataclass(frozen=True)
class Part:
    """Hold the events of one kind, and how many of them have no line."""

    title: str
    events: Sequence[Event]
    omitted: int


def headline(healthy: bool) -> str:
    """Return the first line."""
    return f"Microsoft 365 backups: {'healthy' if healthy else 'UNHEALTHY'}"


def parts(events: Sequence[Event]) -> Iterator[Part]:
    """Yield the parts that have events, new alerts first."""
    for kind, title in TITLES.items():
        matching = [event for event in events if event.kind is kind]
        if matching:
            yield Part(title, matching[:MAX_LINES], max(0, len(matching) - MAX_LINES))


def place(event: Event) -> str:
    """Return tenant, location and service of an event, empty for the whole warehouse."""
    finding = event.alert.finding
    named = (finding.tenant, finding.location, finding.object_type)
    return "/".join(part for part in named if part and part != "default")


def event_line(event: Event) -> str:
    """Return place, text, what to do and alert id of an event in one line."""
    where, finding = place(event), event.alert.finding
    text = f"{finding.text} {event.detail}" if event.detail else finding.text
    if event.kind is EventKind.opened:
        text = f"{text.removesuffix('.')}. {action_of(finding.kind)}"
    return f"{where + ': ' if where else ''}{text} [alert {event.alert.id}]"


def plain(events: Sequence[Event], healthy: bool) -> str:
    """Return the message as plain text."""
    lines = [headline(healthy)]
    for part in parts(events):
        lines += ["", f"{part.title}:"]
        lines += [f"- {event.alert.finding.kind.replace('_', ' ')}: {event_line(event)}" for event in part.events]
        if part.omitted:
            lines.append(f"... and {part.omitted} more: run m365-jobs health")
    return "\n".join([*lines, "", "To acknowledge an alert: m365-jobs acknowledge ALERT --owner NAME"])
