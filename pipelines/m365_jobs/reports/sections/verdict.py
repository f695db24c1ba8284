"""Show the verdict, the counts by status, and what changed since yesterday."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.calendar import read_outcome_changes
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.sections.errors import read_new_errors
from m365_jobs.reports.shared_queries import read_night, read_night_before, sum_columns
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
    """Yield the changes since yesterday: tone and text."""
    broken = [row for row in page.rows(read_outcome_changes) if row["yesterday"] == 1 and row["today"] == 0]
    repaired = [row for row in page.rows(read_outcome_changes) if row["yesterday"] == 0 and row["today"] == 1]
    # A short list leaves the table of tenants on the first screen.
    limit = 2 if page.is_fleet else 5
    for rows, tone, verb in ((broken, "bad", "no longer {}"), (repaired, "good", "{} again")):
        for row in rows[:limit]:
            since = labels.time_label(row["finished_at"], page.zone)
            yield tone, f"{page.partition(row)}: {verb.format('succeeds')} since {since}"
        if (rest := len(rows) - limit) > 0:
            words = verb.format("succeeds" if rest == 1 else "succeed")
            yield tone, f"{format_count(rest, 'more service')} {words}"
    for error in page.rows(read_new_errors):
        name, message = labels.service_label(error["object_type"]), error["error_message"] or "no message"
        yield "poor", f"New error of {name}: {message}"
    before, after = sum_columns(page.rows(read_night_before)), sum_columns(page.rows(read_night))
    for column, noun in (("failed_jobs", "failed job"), ("jobs", "job")):
        change = after[column] - before[column]
        if change:
            more = "more" if change > 0 else "fewer"
            tone = "grey" if column == "jobs" else "bad" if change > 0 else "good"
            number = format_count(after[column], noun)
            yield tone, f"{number} last night, {abs(change):,} {more} than the night before"


VERDICT = Section(
    "verdict",
    "Verdict",
    verdict,
    reads=(read_outcome_changes, read_new_errors, read_night_before, read_night),
    has_heading=False,
    is_collapsed=False,
)
