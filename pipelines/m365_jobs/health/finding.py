"""Hold a finding of health: its text, its partition and the action."""

from __future__ import annotations

from typing import NamedTuple

from m365_jobs.health.checks import CHECKS, Check
from m365_jobs.warehouse.pipeline import DEFAULT_LABELS

RANKS = {check.kind: rank for rank, check in enumerate(CHECKS)}


class Finding(NamedTuple):
    """Describe a finding. ``about`` identifies it among those of its kind in its partition."""

    kind: str
    tenant: str | None
    text: str
    location: str | None = None
    object_type: str | None = None
    about: str = ""
    errors: tuple[str, ...] = ()
    """The most frequent error messages of its jobs."""
    service: str | None = None
    """A service that is no object type, in the vendor's words; None where ``object_type`` names it, and for all."""

    @property
    def service_name(self) -> str | None:
        """Return the object type, or the name of a service that is none; None for all services."""
        return self.object_type or self.service

    def with_service(self, text: str) -> str:
        """Return a text after the name of a service that is no object type, for documents with ``object_type`` only."""
        return f"{self.service}: {text}" if self.service else text

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
        """Return what the operator can do about it."""
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
    """Return what the operator can do about a kind of finding; empty for a kind that only another version has."""
    return CHECKS[RANKS[kind]].action if kind in RANKS else ""


def partition_label(tenant: str | None, location: str | None, object_type: str | None) -> str:
    """Return the label of a partition, such as contoso/NAM/teams, without labels at their default."""
    return "/".join(part for part in (tenant, location, object_type) if part and part not in DEFAULT_LABELS)
