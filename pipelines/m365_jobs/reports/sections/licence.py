"""Show seats and storage, bought and in use, and when they run out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from m365_jobs.reports import labels
from m365_jobs.reports.html import HtmlTable
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.page import Page
from m365_jobs.reports.sections.base import Section, rows_if_exists
from m365_jobs.text import format_percent
from m365_jobs.warehouse.tenant_scope import TenantScope


def read_licenses(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return the newest snapshot of each tenant and location."""
    return rows_if_exists(
        scope,
        f"""WITH ranked AS (
            SELECT l.tenant, l.location, l.day, l.out_of_policy_at, l.out_of_policy_time_raw, l.snapshot_at,
                row_number() OVER (PARTITION BY l.tenant, l.location ORDER BY l.day DESC) AS place
            FROM license_consumption AS l WHERE {query_range.filters.shared_location_condition("l")}
        )
        SELECT t.tenant, t.location, t.day, t.assigned_user_seats, t.purchased_user_seats, t.seats_used_ratio,
            t.seats_run_out_on, t.protected_size_gb, t.purchased_storage_gb, t.storage_used_ratio,
            t.storage_run_out_on, t.month_peak_seats,
            CASE WHEN epoch(k.out_of_policy_at) <= epoch(k.snapshot_at) THEN k.out_of_policy_at END AS out_of_policy_at,
            CASE WHEN k.out_of_policy_at IS NULL AND k.out_of_policy_time_raw IS NULL THEN 0 ELSE 1 END AS policy_known
        FROM ranked AS k
        JOIN license_trend AS t
            ON t.tenant = k.tenant AND t.day = k.day AND coalesce(t.location, '') = coalesce(k.location, '')
        WHERE k.place = 1 ORDER BY t.tenant, t.location""",
        everywhere=query_range.filters.values["everywhere"],
        location=query_range.filters.values["location"],
    )


def license_section(page: Page) -> dict[str, Any] | None:
    """Return seats and storage, bought and in use, and when they run out."""
    rows = page.rows(read_licenses)
    if not rows:
        return None
    columns = ["Location", "What", "In use", "Bought", "Share", "Runs out", "State"]
    cells = [line for row in rows for line in _license_lines(row, page)]
    summaries = [text for row in rows if (text := license_summary(row, rows))]
    note = f"As of {rows[0]['day']}. A forecast needs 14 days."
    return {"table": HtmlTable("Licence", columns, cells), "summary": "; ".join(summaries), "note": note}


def _license_lines(row: Row, page: Page) -> Iterator[list[Any]]:
    """Yield the lines of a location: seats and storage."""
    state = "in policy" if row["policy_known"] else "unknown"
    if row["out_of_policy_at"]:
        state = f"out of policy since {labels.time_label(row['out_of_policy_at'], page.zone)}"
    for resource, used, bought, ratio, run_out in (
        ("Seats", row["assigned_user_seats"], row["purchased_user_seats"], "seats_used_ratio", "seats_run_out_on"),
        ("Storage", row["protected_size_gb"], row["purchased_storage_gb"], "storage_used_ratio", "storage_run_out_on"),
    ):
        unit = "" if resource == "Seats" else " GB"
        amounts = ("unknown" if value is None else f"{value:,.0f}{unit}" for value in (used, bought))
        share = "unknown" if row[ratio] is None else format_percent(row[ratio])
        location = labels.location_label(row["location"])
        yield [location, resource, *amounts, share, f"{row[run_out] or 'not foreseen'}", state]


def license_summary(row: Row, rows: Sequence[Row]) -> str:
    """Return the state of a licence, with its location if the licences of its tenant, ``rows``, have several."""
    state = _license_state(row)
    return f"{labels.location_label(row['location'])}: {state}" if state and len(rows) > 1 else state


def _license_state(row: Row) -> str:
    """Return out of policy, or the larger share in use; empty if unknown."""
    if row["out_of_policy_at"]:
        return "out of policy"
    shares = {"seats": row["seats_used_ratio"] or 0, "storage": row["storage_used_ratio"] or 0}
    resource = max(shares, key=lambda name: shares[name])
    return f"{format_percent(shares[resource])} of {resource}" if shares[resource] else ""


def license_share(rows: Iterable[Row]) -> float:
    """Return the largest share in use of a tenant's licences; 2 if one is out of policy, to sort it first."""
    return max(
        (2 if row["out_of_policy_at"] else max(row["seats_used_ratio"] or 0, row["storage_used_ratio"] or 0))
        for row in rows
    )


LICENCE = Section("licence", "Licence", license_section, reads=(read_licenses,), on_fleet_page=False)
