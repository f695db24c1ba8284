"""Show the problems and warnings that the evaluation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from m365_jobs.health.checks import PROBLEM, WARNING
from m365_jobs.health.finding import Finding
from m365_jobs.reports import labels
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.text import format_count


@dataclass(frozen=True)
class ShownFinding:
    """Describe a problem or warning on a page."""

    finding: Finding
    tone: str
    sign: str
    word: str
    """Label of its kind or status."""
    title: str
    """Label of its partition."""
    jobs: str | None
    """URL of the jobs of its partition."""


def _findings(page: Page, severity: str) -> list[ShownFinding]:
    return [_finding(page, finding) for finding in page.findings if finding.severity == severity]


def _finding(page: Page, finding: Finding) -> ShownFinding:
    kind = finding.kind
    status = labels.finding_label(kind, finding.severity)
    place = {"tenant": finding.tenant, "location": finding.location, "object_type": finding.service_name}
    link = page.jobs_link(finding.tenant, finding.location, finding.object_type) if finding.object_type else None
    return ShownFinding(finding, status.tone, status.sign, status.text, page.partition(place), link)


def problems(page: Page) -> dict[str, Any]:
    """Return the problems that the evaluation found."""
    return {"findings": _findings(page, PROBLEM)}


def warnings(page: Page) -> dict[str, Any] | None:
    """Return the warnings that the evaluation found, grouped by label and text."""
    listed = _findings(page, WARNING)
    groups: dict[tuple[str, str], list[ShownFinding]] = {}
    for shown in listed:
        groups.setdefault((shown.word, shown.finding.explained), []).append(shown)
    summary = format_count(len(listed), "warning")
    return {"groups": list(groups.values()), "summary": summary} if listed else None


PROBLEMS = Section("problems", "Problems", problems, is_collapsed=False)
WARNINGS = Section("warnings", "Warnings", warnings)
