"""Show several tenants: a row for each, the worst first, and a matrix of their services."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from m365_jobs.reports import labels, svg
from m365_jobs.reports.html import Cell, HtmlTable
from m365_jobs.reports.metrics import Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section
from m365_jobs.reports.sections.licence import license_share, license_summary, read_licenses
from m365_jobs.reports.shared_queries import read_loads
from m365_jobs.text import format_count


@dataclass(frozen=True)
class TenantRow:
    """Describe a tenant in the table of tenants: numbers of findings, services and partitions, and times in UTC."""

    name: str
    problems: int
    warnings: int
    failed: int
    missed: int
    complete: int
    partitions: int
    last_load: datetime | None
    load_status: str
    data_as_of: datetime | None
    licence: str = ""
    licence_share: float = 0
    """Largest share in use, as ``license_share`` returns it."""

    @property
    def verdict(self) -> str:
        """Return the verdict: Healthy or Unhealthy."""
        return "Unhealthy" if self.problems else "Healthy"

    @property
    def verdict_html(self) -> Markup:
        """Return the verdict with its sign as HTML."""
        look = ("cross", "bad") if self.problems else ("check", "good")
        return Markup('<span class="{}">{} {}</span>').format(look[1], svg.sign(*look), self.verdict)


SORTS: dict[str, tuple[str, Callable[[TenantRow], str | float]]] = {
    "tenant": ("Tenant", lambda row: row.name),
    "problems": ("Problems", lambda row: -row.problems),
    "warnings": ("Warnings", lambda row: -row.warnings),
    "failed": ("Failing", lambda row: -row.failed),
    "missed": ("Missed or late", lambda row: -row.missed),
    "complete": ("Proved complete", lambda row: row.complete / row.partitions if row.partitions else -1),
    "load": ("Last load", lambda row: row.last_load.timestamp() if row.last_load else 0),
    "licence": ("Licence", lambda row: -row.licence_share),
    "data": ("Data as of", lambda row: row.data_as_of.timestamp() if row.data_as_of else 0),
}
"""Value of the URL's parameter ``sort`` to the title of the column and its sort key."""


def tenant_rows(page: Page) -> list[TenantRow]:
    """Return the tenants, the worst first unless the page has another order."""
    problems, warnings = (Counter(item.tenant for item in findings) for findings in (page.problems, page.warnings))
    loads = {row["tenant"]: row for row in page.rows(read_loads)}
    statuses: dict[str, Counter[str]] = defaultdict(Counter)
    for row in page.protection:
        statuses[row["tenant"]][row["status"]] += 1
    listings: dict[str, list[Row]] = defaultdict(list)
    for row in page.completeness:
        listings[row["tenant"]].append(row)
    licenses: dict[str, list[Row]] = defaultdict(list)
    for row in page.rows(read_licenses):
        licenses[row["tenant"]].append(row)
    tenants = []
    for name in page.tenants:
        partitions = listings[name]
        ends = [row["complete_until"] for row in partitions if row["complete_until"]]
        load = loads.get(name)
        tenants.append(
            TenantRow(
                name,
                problems[name],
                warnings[name],
                statuses[name]["failing"] + statuses[name]["never"],
                statuses[name]["missed"] + statuses[name]["late"],
                sum(bool(row["complete"]) for row in partitions),
                len(partitions),
                load["ended_at"] if load else None,
                load["status"] if load else "never",
                min(ends, default=None),
                _worst_licence(licenses[name]) if licenses[name] else "",
                license_share(licenses[name]) if licenses[name] else 0,
            )
        )
    tenants.sort(key=lambda row: (-row.problems, -row.failed, -row.missed, -row.warnings, row.name))
    return sorted(tenants, key=SORTS[page.sort][1]) if page.sort in SORTS else tenants


def _worst_licence(rows: Sequence[Row]) -> str:
    """Return the state of the licence with the largest share in use."""
    return license_summary(max(rows, key=lambda row: license_share([row])), rows)


def tenant_table(page: Page) -> HtmlTable:
    """Return the table of tenants."""
    cells = [
        [
            Cell(row.name, page.tenant_link(row.name)),
            row.verdict_html,
            row.problems,
            row.warnings,
            row.failed,
            row.missed,
            f"{row.complete:,} of {row.partitions:,}" if row.partitions else "nothing loaded",
            labels.time_and_age_label(row.last_load, page.zone, page.drawn_at)
            + (f", {labels.LOAD_RESULTS[row.load_status].lower()}" if row.load_status != "complete" else ""),
            row.licence,
            labels.time_and_age_label(row.data_as_of, page.zone, page.drawn_at),
        ]
        for row in tenant_rows(page)
    ]
    columns = ["Tenant", "Verdict", *(title for title, _ in list(SORTS.values())[1:])]
    sorts = {title: f"./?{page.filters.query(sort=name)}" for name, (title, _) in SORTS.items()} if page.linked else {}
    return HtmlTable("Tenants, the worst first", columns, cells, "fleet", sorts)


def tenant_matrix(page: Page) -> dict[str, Any] | None:
    """Return the status of each service of each tenant; of several locations the worst."""
    worst: dict[tuple[str, str], str] = {}
    for row in page.protection:
        key = (row["tenant"], row["object_type"])
        worst[key] = min(worst.get(key, row["status"]), row["status"], key=labels.status_rank)
    services = sorted({object_type for _, object_type in worst}, key=labels.service_label)
    if not services:
        return None
    lines = [
        (row.name, page.tenant_link(row.name), [(service, worst.get((row.name, service))) for service in services])
        for row in tenant_rows(page)
    ]
    bad = sum(labels.status_label(status).tone != "good" for status in worst.values())
    statuses = sorted(set(worst.values()), key=labels.status_rank)
    return {
        "services": services,
        "lines": lines,
        "statuses": statuses,
        "summary": f"{bad:,} of {format_count(len(worst), 'service')} not protected",
    }


def tenants(page: Page) -> dict[str, Any]:
    """Return the table of tenants."""
    return {"table": tenant_table(page), "summary": format_count(len(page.tenants), "tenant")}


FLEET = Section(
    "fleet", "Tenants", tenants, reads=(read_loads, read_licenses), on_tenant_page=False, is_collapsed=False
)
MATRIX = Section("matrix", "Services of all tenants", tenant_matrix, on_tenant_page=False, is_collapsed=False)
