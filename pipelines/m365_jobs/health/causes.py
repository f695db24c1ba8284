"""Read the causes of findings: the most frequent error messages of their jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.health.finding import Finding
from m365_jobs.text import format_count, shorten
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_LENGTH = 120
"""The most characters of a message: some hold a whole response."""


def with_causes(scope: TenantScope, findings: Iterable[Finding], since: datetime) -> Iterator[Finding]:
    """Yield the findings, each with the most frequent error messages of its jobs since ``since`` (UTC)."""
    findings = list(findings)
    messages: dict[tuple[str, str | None, str | None, str | None], list[str]] = {}
    # Kinds with the same jobs share a query.
    for query in {finding.check.causes for finding in findings if finding.check.causes}:
        try:
            rows = scope.rows(query, since=since)
        except DestinationUndefinedEntity:
            # A warehouse without errors has no table of them.
            continue
        for row in rows:
            place = (query, row["tenant"], row["location"], row["object_type"])
            messages.setdefault(place, []).append(_counted(row))
    for finding in findings:
        if finding.check.causes:
            place = (finding.check.causes, finding.tenant, finding.location, finding.object_type)
            finding = finding._replace(errors=tuple(messages.get(place, ())))
        yield finding


def _counted(row: dict[str, Any]) -> str:
    text = shorten(row["message"].strip(), MAX_LENGTH, "…")
    return f'"{text}" ({format_count(row["jobs"], "job")})'
