"""Format all events of a run as the lines of one message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from m365_jobs.health.alerts.models import Event, EventKind
from m365_jobs.health.reasons import action_of

MAX_EVENTS = 30
"""Events of each group, one a line. Chat systems cut a long message anywhere."""

TITLES = {EventKind.opened: "New", EventKind.worse: "Worse", EventKind.closed: "Over"}
"""Kind of event to the title of its group, in the order of the message."""


@dataclass(frozen=True)
class EventGroup:
    """Hold the events of one kind, and the number of those that have no line."""

    title: str
    events: Sequence[Event]
    omitted: int


def headline(healthy: bool) -> str:
    """Return the first line: the verdict of the run."""
    return f"Microsoft 365 backups: {'healthy' if healthy else 'UNHEALTHY'}"


def group_events(events: Sequence[Event]) -> Iterator[EventGroup]:
    """Yield the events by kind, new alerts first, without empty groups."""
    for kind, title in TITLES.items():
        matching = [event for event in events if event.kind is kind]
        if matching:
            yield EventGroup(title, matching[:MAX_EVENTS], max(0, len(matching) - MAX_EVENTS))


def event_line(event: Event) -> str:
    """Return partition, text, action and alert id of an event in one line."""
    finding = event.alert.finding
    partition = finding.partition_label
    text = f"{finding.text} {event.detail}" if event.detail else finding.text
    if event.kind is EventKind.opened:
        text = f"{text.removesuffix('.')}. {action_of(finding.kind)}"
    return f"{partition + ': ' if partition else ''}{text} [alert {event.alert.id}]"


def plain_text(events: Sequence[Event], healthy: bool) -> str:
    """Return the message as plain text."""
    lines = [headline(healthy)]
    for group in group_events(events):
        lines += ["", f"{group.title}:"]
        lines += [f"- {event.alert.finding.kind_label}: {event_line(event)}" for event in group.events]
        if group.omitted:
            lines.append(f"... and {group.omitted} more: run m365-jobs health")
    return "\n".join([*lines, "", "To acknowledge an alert: m365-jobs acknowledge ALERT --owner NAME"])
