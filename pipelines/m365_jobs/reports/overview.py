"""Build the first sections of a page: verdict, changes, problems, warnings, and the state of each service or tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from m365_jobs.health.checks import Reason
from m365_jobs.reports import fleet, labels
from m365_jobs.reports.metrics import total
from m365_jobs.reports.page import Page
from m365_jobs.text import format_count


def verdict(page: Page) -> dict[str, Any]:
    """Return the counts by status and what changed since yesterday."""
    statuses = Counter(row["status"] for row in page.protection)
    chips = [
        (labels.status_label(status), statuses[status])
        for status in sorted(statuses, key=labels.status_rank)
    ]  # fmt: skip
    without = sorted({row["tenant"] for row in page.loads} - {row["tenant"] for row in page.protection})
    return {"chips": chips, "without": without, "changes": list(_changes(page))}


def _changes(page: Page) -> Iterator[tuple[str, str]]:
    """Yield what changed since yesterday: the tone and the words."""
    broken = [row for row in page.metrics.changes if row["yesterday"] == 1 and row["today"] == 0]
    repaired = [row for row in page.metrics.changes if row["yesterday"] == 0 and row["today"] == 1]
    # The tenants of a fleet are to be seen without scrolling.
    limit = 2 if page.is_fleet else 5
    for rows, tone, verb in ((broken, "bad", "no longer {}"), (repaired, "good", "{} again")):
        for row in rows[:limit]:
            since = labels.moment(row["finished_at"], page.zone)
            yield tone, f"{page.partition(row)}: {verb.format('succeeds')} since {since}"
        if (rest := len(rows) - limit) > 0:
            words = verb.format("succeeds" if rest == 1 else "succeed")
            yield tone, f"{format_count(rest, 'more service')} {words}"
    yesterday = page.metrics.as_of - timedelta(days=1)
    for error in [row for row in page.metrics.errors if page.shown.days > 1 and row["first_seen"] > yesterday][:3]:
        yield "poor", f"New error of {labels.service(error['object_type'])}: {error['error_message'] or 'no message'}"
    before, after = total(page.metrics.night_before), total(page.metrics.night_by_service)
    for column, noun in (("failed_jobs", "failed job"), ("jobs", "job")):
        change = after[column] - before[column]
        if change:
            more = "more" if change > 0 else "fewer"
            tone = "grey" if column == "jobs" else "bad" if change > 0 else "good"
            number = format_count(after[column], noun)
            yield tone, f"{number} last night, {abs(change):,} {more} than the night before"


@dataclass(frozen=True)
class ShownFinding:
    """Describe a problem or warning as a page shows it."""

    reason: Reason
    tone: str
    sign: str
    word: str
    title: str
    jobs: str | None


def _findings(page: Page, severity: str) -> list[ShownFinding]:
    return [_finding(page, reason) for reason in page.reasons if reason.severity == severity]


def _finding(page: Page, reason: Reason) -> ShownFinding:
    kind = reason.kind
    status = labels.finding_label(kind, reason.severity)
    place = {"tenant": reason.tenant, "location": reason.location, "object_type": reason.object_type}
    link = page.link(reason.tenant, reason.location, reason.object_type) if reason.object_type else None
    return ShownFinding(reason, status.tone, status.sign, status.text, page.partition(place), link)


def problems(page: Page) -> dict[str, Any]:
    """Return the problems that the evaluation found."""
    return {"findings": _findings(page, "problem")}


def warnings(page: Page) -> dict[str, Any] | None:
    """Return the warnings that the evaluation found, those with the same words together."""
    findings = _findings(page, "warning")
    groups: dict[tuple[str, str], list[ShownFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.word, finding.reason.explained), []).append(finding)
    summary = format_count(len(findings), "warning")
    return {"groups": list(groups.values()), "summary": summary} if findings else None


def protected_services(page: Page) -> dict[str, Any] | None:
    """Return the services, the worst first."""
    if page.is_fleet or not page.protection:
        return None
    rows = sorted(page.protection, key=lambda row: (labels.status_rank(row["status"]), page.partition(row)))
    protected = sum(row["status"] == "protected" for row in rows)
    return {"rows": rows, "summary": f"{protected:,} of {format_count(len(rows), 'service')} protected"}


def tenants(page: Page) -> dict[str, Any] | None:
    """Return the table of tenants."""
    if not page.is_fleet:
        return None
    return {"table": fleet.tenant_table(page), "summary": format_count(len(page.tenants), "tenant")}


def matrix(page: Page) -> dict[str, Any] | None:
    """Return the matrix of tenants and services."""
    return fleet.tenant_matrix(page) if page.is_fleet else None
