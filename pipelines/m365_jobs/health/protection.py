"""Define the protection status of a partition: word, label, sign, colour and rank for every output."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from m365_jobs.text import format_count


class Colour(NamedTuple):
    """Hold the shades of a colour: name on a terminal, accent and background of a tile, and its text."""

    terminal: str
    accent: str
    background: str
    text: str


RED = Colour("red", "#b3261e", "#fdeeec", "#8c1d18")
AMBER = Colour("yellow", "#b26a00", "#fff6e5", "#6b3f00")
BLUE = Colour("blue", "#1d5fa8", "#edf3fb", "#174a84")
GREEN = Colour("green", "#2e8b63", "#eef8f2", "#14603f")
GREY = Colour("", "#6b7280", "#f3f4f6", "#374151")


class Appearance(NamedTuple):
    """Hold the label, sign and colour of a status, and its severity: problem, warning, or empty."""

    label: str
    sign: str
    colour: Colour
    severity: str = ""


class ProtectionStatus(StrEnum):
    """List the values of ``protection_status.status``, the most severe first."""

    failing = "failing"
    never = "never"
    missed = "missed"
    late = "late"
    unknown = "unknown"
    running_long = "running_long"
    onboarding = "onboarding"
    protected = "protected"
    ignored = "ignored"

    @property
    def label(self) -> str:
        """Return the label, such as Never succeeded."""
        return _APPEARANCE[self].label

    @property
    def sign(self) -> str:
        """Return a sign, for readers who do not see the colour."""
        return _APPEARANCE[self].sign

    @property
    def colour(self) -> Colour:
        """Return the colour of tiles and words."""
        return _APPEARANCE[self].colour

    @property
    def severity(self) -> str:
        """Return problem, warning, or an empty text for a status that needs no attention."""
        return _APPEARANCE[self].severity

    @property
    def rank(self) -> int:
        """Return the place in the order of severity: 0 for the most severe."""
        return list(ProtectionStatus).index(self)


_APPEARANCE = {
    ProtectionStatus.failing: Appearance("Failing", "✕", RED, "problem"),
    ProtectionStatus.never: Appearance("Never succeeded", "✕", RED, "problem"),
    ProtectionStatus.missed: Appearance("Missed", "✕", RED, "problem"),
    ProtectionStatus.late: Appearance("Late", "!", AMBER, "problem"),
    ProtectionStatus.unknown: Appearance("Unknown", "?", GREY, "problem"),
    ProtectionStatus.running_long: Appearance("Running long", "…", BLUE, "warning"),
    ProtectionStatus.onboarding: Appearance("Onboarding", "…", BLUE, "warning"),
    ProtectionStatus.protected: Appearance("Protected", "✓", GREEN),
    ProtectionStatus.ignored: Appearance("Ignored", "–", GREY),
}


def unknown_service_reason(unknown: int, known: int) -> str:
    """Return why the service of some jobs is unknown; ``known`` is the number of the other jobs."""
    if not known:
        return "the API returns the same jobs whatever objectType is asked for"
    return f"the API lists {format_count(unknown, 'job')} under no objectType"
