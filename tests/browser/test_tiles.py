"""The order of tiles: what is gravest is to be seen without scrolling."""

import re
from datetime import UTC, datetime
from typing import Any

from m365_jobs.reports import html

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def row(tenant: str, location: str | None, object_type: str, status: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "location": location,
        "object_type": object_type,
        "status": status,
        "last_success_at": NOW,
        "consecutive_failures": 0,
        "open_jobs": 0,
        "data_as_of": NOW,
    }


def test_the_tenant_with_the_gravest_tile_comes_first_and_its_gravest_tile_before_its_others() -> None:
    rows = [
        row("contoso", None, "teams", "protected"),
        row("fabrikam", "EUR", "teams", "protected"),
        row("fabrikam", "EUR", "exchange_online", "late"),
        row("fabrikam", "NAM", "power_bi", "failing"),
        row("northwind", None, "teams", "late"),
    ]
    page = html.protection(rows, [], UTC)
    shown = re.findall(r"<h3>([^<]+)</h3>|class=\"word\">\S+ ([^<]+)</span><b>([^<]+)</b>", page)
    assert [" ".join(filter(None, one)) for one in shown] == [
        "fabrikam · EUR",
        "Late Exchange Online",
        "Protected Teams",
        "fabrikam · NAM",
        "Failing Power BI",
        "northwind",
        "Late Teams",
        "contoso",
        "Protected Teams",
    ]
