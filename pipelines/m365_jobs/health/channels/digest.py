"""Format all events of a run as the lines of one message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from m365_jobs.health.alerts.models import Event, EventKind
from m365_jobs.health.finding import action_of
from m365_jobs.text import format_count, shorten
from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

MAX_EVENTS = 30
"""Events of each group, one a line."""

MAX_TENANTS = 30
"""Tenants that the line of the other events names."""

MAX_NAME_CHARACTERS = 40
"""Characters after which the name of a tenant in that line is cut."""

TITLES = {EventKind.opened: "New", EventKind.worse: "Worse", EventKind.closed: "Over"}
"""Kind of event to the title of its group, in the order of the message."""


@dataclass(frozen=True)
class EventGroup:
    """Hold the events of one kind, and the number of those that have no line."""

    title: str
    events: Sequence[Event]
    others: Sequence[Event] = ()
    """Events without a line."""

    @property
    def others_text(self) -> str:
        """Return the number of the other events and their tenants, the most affected first; empty without any."""
        if not self.others:
            return ""
        counts = Counter(event.alert.finding.tenant for event in self.others if event.alert.finding.tenant)
        names = [_name(tenant, count) for tenant, count in counts.most_common() if tenant not in DEFAULT_LABELS]
        more = f", and {format_count(len(names) - MAX_TENANTS, 'more tenant')}" if len(names) > MAX_TENANTS else ""
        of_tenants = f" of {', '.join(names[:MAX_TENANTS])}{more}" if names else ""
        return f"and {len(self.others):,} more{of_tenants}: run m365-jobs health"


def headline(healthy: bool) -> str:
    """Return the first line: the verdict of the run."""
    return f"Microsoft 365 backups: {'healthy' if healthy else 'UNHEALTHY'}"


def _name(tenant: str, count: int) -> str:
    name = shorten(tenant, MAX_NAME_CHARACTERS, "…")
    return f"{name} ({count})" if count > 1 else name


def longest_fitting(make: Callable[[int], str], max_bytes: int) -> str:
    """Return the longest message that a receiver accepts; ``make`` returns one with at most so many events a group.

    Receivers refuse a message that is too long, or cut it anywhere.
    """
    message = ""
    for limit in range(MAX_EVENTS, -1, -1):
        message = make(limit)
        if len(message.encode()) <= max_bytes:
            break
    return message


def group_events(events: Sequence[Event], limit: int = MAX_EVENTS) -> Iterator[EventGroup]:
    """Yield the events by kind, new alerts first, without empty groups; at most ``limit`` of each have a line."""
    for kind, title in TITLES.items():
        matching = [event for event in events if event.kind is kind]
        if matching:
            yield EventGroup(title, matching[:limit], matching[limit:])


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
        if group.others:
            lines.append(f"... {group.others_text}")
    return "\n".join([*lines, "", "To acknowledge an alert: m365-jobs acknowledge ALERT --owner NAME"])
