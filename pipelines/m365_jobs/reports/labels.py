"""Format names, times, numbers and statuses for pages and reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from avepoint_m365.constants import ObjectType

from m365_jobs.health.protection import AMBER, BLUE, GREEN, GREY, RED, ProtectionStatus
from m365_jobs.reports.view import UNKNOWN_SERVICE
from m365_jobs.text import format_count, lies_ahead

SERVICES = {kind.name: kind.label for kind in ObjectType}
"""Object type to Microsoft's name of the service."""

NO_SERVICES = "No service had a backup in the last 30 days, and none is expected"


TONE_NAMES = {RED: "bad", AMBER: "poor", BLUE: "busy", GREEN: "good", GREY: "grey"}
"""Colour of a status to its class in the style sheet."""

SIGN_NAMES = {"✕": "cross", "!": "mark", "?": "question", "…": "dots", "✓": "check", "–": "dash"}
"""Sign to its name in ``svg.SIGNS``."""


@dataclass(frozen=True)
class StatusLabel:
    """Hold the text of a status or finding, its sign in ``svg.SIGNS``, and its tone in ``svg.TONES``."""

    text: str
    sign: str
    tone: str


def status_label(status: str) -> StatusLabel:
    """Return the label of a protection status."""
    protection = ProtectionStatus(status)
    return StatusLabel(protection.label, SIGN_NAMES[protection.sign], TONE_NAMES[protection.colour])


def finding_label(kind: str, severity: str) -> StatusLabel:
    """Return the label of a finding: that of its protection status, else its kind with the colour of its severity."""
    if kind in list(ProtectionStatus):
        return status_label(kind)
    return StatusLabel(kind.replace("_", " ").capitalize(), "mark", "bad" if severity == "problem" else "poor")


def status_rank(status: str) -> int:
    """Return the rank of a protection status: 0 for the most severe."""
    return ProtectionStatus(status).rank


def service_label(object_type: str | None) -> str:
    """Return Microsoft's name of an object type; Unknown service for None, and for the filter's value."""
    return "Unknown service" if object_type in (None, "", UNKNOWN_SERVICE) else SERVICES.get(object_type, object_type)


def services_label(object_type: str | None) -> str:
    """Return Microsoft's name of an object type; All services for None."""
    return service_label(object_type) if object_type else "All services"


def location_label(name: str | None) -> str:
    """Return a location; All locations for None."""
    return name or "All locations"


def time_label(value: datetime | None, zone: tzinfo, missing: str = "never") -> str:
    """Return a time to the minute, with its zone: 2026-01-31 06:00 UTC."""
    return f"{value.astimezone(zone):%Y-%m-%d %H:%M %Z}" if value else missing


def elapsed_label(value: datetime | None, now: datetime, missing: str = "never") -> str:
    """Return the time that has passed since a time: 45 h ago; for one in the future: in 3.0 h."""
    if value is None:
        return missing
    hours = (now - value).total_seconds() / 3600
    return f"in {duration_label(-hours)}" if lies_ahead(hours) else f"{duration_label(max(hours, 0))} ago"


def time_and_age_label(
    value: datetime | None, zone: tzinfo, now: datetime | None = None, missing: str = "never"
) -> str:
    """Return a time and its age: 2026-01-31 06:00 UTC (45 h ago)."""
    return f"{time_label(value, zone)} ({elapsed_label(value, now or datetime.now(UTC))})" if value else missing


def duration_label(hours: float | None) -> str:
    """Return a duration in hours with a suitable unit: 12 min, 7.5 h, 45 h, 3 days."""
    if hours is None:
        return "unknown"
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    if hours < 10:
        return f"{hours:.1f} h"
    return f"{hours:.0f} h" if hours < 72 else format_count(round(hours / 24), "day")


def open_label(hours: float | None) -> str:
    """Return how long a job has been open: 45 h; of one that starts in the future: starts in 3.0 h."""
    if hours is None:
        return duration_label(None)
    return f"starts in {duration_label(-hours)}" if lies_ahead(hours) else duration_label(max(hours, 0))


def backups_label(number: int | None) -> str:
    """Return a number of backups: 1 backup, 2 backups."""
    return format_count(number or 0, "backup")


def jobs_label(number: int | None) -> str:
    """Return a number of jobs: 1 job, 2 jobs."""
    return format_count(number or 0, "job")


def no_success_label(status: str) -> str:
    """Return the text for a service without a last success."""
    return "no success known" if status == "unknown" else "no success yet"


LOAD_RESULTS = {
    "complete": "Complete",
    "incomplete": "Not proved complete",
    "failed": "Failed",
    "never": "No load yet",
}
"""Status of a load to its label."""
