"""List the sections of dashboard, report, image and PDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from m365_jobs.reports import context, details, html, overview
from m365_jobs.reports.page import Page


@dataclass(frozen=True)
class Section:
    """Describe a part of a page. ``build`` returns the values of its template; None leaves the section out."""

    name: str
    title: str
    build: Callable[[Page], dict[str, Any] | None]
    folded: bool = True
    """Closed on the dashboard until a click; reports show all."""


@dataclass(frozen=True)
class BuiltSection:
    """Hold a section with its HTML and the text of its closed form."""

    section: Section
    html: Markup
    summary: str


def build_sections(page: Page) -> list[BuiltSection]:
    """Return the sections of a page in the order of their importance."""
    built = []
    for section in SECTIONS:
        values = section.build(page)
        if values is not None:
            body = html.render_template(f"sections/{section.name}.html", page=page, **values)
            built.append(BuiltSection(section, body, str(values.get("summary", ""))))
    return built


SECTIONS = (
    Section("verdict", "Verdict", overview.verdict, folded=False),
    Section("fleet", "Tenants", overview.tenants, folded=False),
    Section("matrix", "Services of all tenants", overview.matrix, folded=False),
    Section("problems", "Problems", overview.problems, folded=False),
    Section("warnings", "Warnings", overview.warnings),
    Section("protection", "Protection now", overview.protected_services),
    Section("night", "Last night", details.night),
    Section("calendar", "Calendar", details.calendar),
    Section("schedule", "Scheduled backups", context.schedule_section),
    Section("trends", "Trends", details.trends),
    Section("durations", "Durations", details.durations),
    Section("errors", "Top errors", details.errors),
    Section("open_jobs", "Open jobs", details.open_jobs),
    Section("restores", "Restore evidence", context.restore_section),
    Section("retention", "Retention", context.retention_section),
    Section("licence", "Licence", context.license_section),
    Section("loads", "Freshness of this data", details.loads),
)
"""In the order of their importance."""


def sorted_by(page: Page, column: str) -> Page:
    """Return a page whose table of tenants is sorted by a column."""
    return replace(page, sort=column)
