"""Write the peaks of seats and protected storage per tenant and month, as CSV for billing."""

from __future__ import annotations

import csv
import io
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.reports.metrics import Row
from m365_jobs.text import spreadsheet_text
from m365_jobs.warehouse.tenant_scope import TenantScope

CSV_COLUMNS = ("tenant", "month", "peak_seats", "purchased_seats", "peak_protected_gb", "days_with_data")


def billing_rows(scope: TenantScope, month: str | None = None) -> list[Row]:
    """Return a row per tenant and month, the oldest month first; none before the first load of licences.

    ``month`` such as 2026-11 selects one. Each location has one snapshot per day. The seats of a day are the sum over
    all locations.
    """
    condition = "WHERE d.month = :month" if month else ""
    try:
        return scope.rows(
            f"""WITH days AS (
                SELECT l.tenant, l.day, substr(CAST(l.day AS VARCHAR), 1, 7) AS month,
                    sum(l.assigned_user_seats) AS seats, sum(l.purchased_user_seats) AS purchased,
                    sum(l.protected_size_gb) AS protected_gb
                FROM license_consumption AS l GROUP BY l.tenant, l.day
            )
            SELECT d.tenant, d.month, CAST(max(d.seats) AS BIGINT) AS peak_seats,
                CAST(max(d.purchased) AS BIGINT) AS purchased_seats,
                CAST(max(d.protected_gb) AS DOUBLE) AS peak_protected_gb,
                count(*) AS days_with_data
            FROM days AS d {condition} GROUP BY d.tenant, d.month ORDER BY d.month, d.tenant""",
            **({"month": month} if month else {}),
        )
    except DestinationUndefinedEntity:
        return []


def billing_csv(scope: TenantScope, month: str | None = None) -> str:
    """Return the rows as CSV; the header is present even without rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_value(value) for name, value in row.items()} for row in billing_rows(scope, month))
    return text.getvalue()


def csv_value(value: Any) -> Any:
    """Return a value for CSV: floats with 3 decimals, and texts that no spreadsheet evaluates as a formula."""
    if isinstance(value, str):
        return spreadsheet_text(value)
    return round(value, 3) if isinstance(value, float) else value
