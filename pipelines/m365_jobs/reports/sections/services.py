"""Show the state of each service of a tenant, the worst first."""

from __future__ import annotations

from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.text import format_count


def protected_services(page: Page) -> dict[str, Any] | None:
    """Return the services, the worst first."""
    if not page.protection:
        return None
    rows = sorted(page.protection, key=lambda row: (labels.status_rank(row["status"]), page.partition(row)))
    protected = sum(row["status"] == "protected" for row in rows)
    return {"rows": rows, "summary": f"{protected:,} of {format_count(len(rows), 'service')} protected"}


SERVICES = Section("protection", "Protection now", protected_services, on_fleet_page=False)
