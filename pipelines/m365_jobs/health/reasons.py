"""Hold a finding of health for a person: its text, its partition, and what the reader can do."""

from __future__ import annotations

from dataclasses import dataclass

from m365_jobs.health.checks import CHECKS, Check

RANKS = {check.kind: rank for rank, check in enumerate(CHECKS)}


@dataclass(frozen=True)
class Reason:
    """Describe a finding for a person. ``about`` tells it apart from others of its kind in its partition."""

    kind: str
    tenant: str | None
    text: str
    location: str | None = None
    object_type: str | None = None
    about: str = ""
    errors: tuple[str, ...] = ()
    """The most frequent error messages of the jobs behind it."""

    @property
    def explained(self) -> str:
        """Return the text with the error messages."""
        text = self.text
        return f"{text.removesuffix('.')}. Most frequent errors: {'; '.join(self.errors)}" if self.errors else text

    @property
    def check(self) -> Check:
        """Return the check that finds it."""
        return CHECKS[self.severity_rank]

    @property
    def action(self) -> str:
        """Return what the reader can do about it."""
        return action_of(self.kind)

    @property
    def severity(self) -> str:
        """Return problem or warning."""
        return self.check.severity

    @property
    def severity_rank(self) -> int:
        """Return 0 for the most severe kind."""
        return RANKS[self.kind]


def action_of(kind: str) -> str:
    """Return what the reader can do about a finding of a kind; nothing for the kind of another version's alert."""
    return CHECKS[RANKS[kind]].action if kind in RANKS else ""
