"""Draw the status for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.cli.tables.alerts import undelivered_lines
from m365_jobs.cli.tables.partition import wrap_partition
from m365_jobs.config.tenants import MANY_TENANTS
from m365_jobs.health.failed_companions import failure_lines
from m365_jobs.health.finding import partition_label
from m365_jobs.health.protection import unknown_service_reason
from m365_jobs.health.status import Row, WarehouseStatus
from m365_jobs.text import format_count, format_duration, lies_ahead, sanitize

LABEL_WIDTH = 24
"""Width of the column of partitions on a terminal of 80 columns."""


def status_tables(status: WarehouseStatus) -> Iterator[Any]:
    """Yield the status for a terminal of 80 columns."""
    yield Text(f"Warehouse: {status['warehouse']}", overflow="fold")
    if status["credentials"]:
        yield Text(f"Credentials: {status['credentials']}")
    yield from undelivered_lines(status["undelivered"])
    if not any(status["tables"].values()):
        yield Text("Nothing is loaded yet. Run: m365-jobs load")
        if status["runs"]:
            yield from _runs(status["runs"])
        return
    if status["never_loaded"]:
        yield Text(sanitize(f"Never loaded: {', '.join(status['never_loaded'])}"))
    for run in status["clocks_ahead"]:
        text = f"{run['tenant']}: loads whose clock was ahead, at {_minute(run['window_end'])} UTC, are left out below."
        yield Text(sanitize(text))
    yield Text("Rows: " + ", ".join(f"{name} {count:,}" for name, count in status["tables"].items()))
    many = len({row["tenant"] for row in status["partitions"]}) >= MANY_TENANTS
    yield from _loaded(status["partitions"], status["unknown_services"], many)
    if status["unknown_services"]:
        jobs, unknown = status["tables"]["jobs"], sum(row["rows_held"] for row in status["unknown_services"])
        yield Text(f"Jobs of an unknown service: {unknown_service_reason(unknown, jobs - unknown)}.")
    for row in status["findings"]:
        tenant = partition_label(row["tenant"], None, None)
        yield Text(sanitize(f"Finding: {tenant + ': ' if tenant else ''}{row['text']}."))
    for text in failure_lines(status["companions"]):
        yield Text(sanitize(text))
    yield from _runs(status["runs"], many)


def _loaded(rows: list[Row], unknown_services: list[Row], many: bool) -> Iterator[Any]:
    """Yield the table of partitions, or of many tenants, and its legend."""
    yield _tenants([*rows, *unknown_services]) if many else _partitions(rows, unknown_services)
    # A line below the table, since a caption is wrapped to the width of the table.
    yield Text("Times are UTC. Open: jobs that run, and for how long the oldest has.", "dim")
    if many:
        yield Text("Complete until: of the service that is furthest behind. For services: --tenant NAME.", "dim")


def _tenants(rows: list[Row]) -> Table:
    """Return a table with a row for each tenant: those with a listing that is not complete first, then by name."""
    tenants: dict[str, list[Row]] = {}
    for row in rows:
        tenants.setdefault(row["tenant"], []).append(row)
    table = _table("Tenant")
    for name, parts in sorted(tenants.items(), key=lambda item: (_is_complete(item[1]), item[0])):
        ends = [row["complete_until"] for row in parts if row["object_type"]]
        starts = [row["oldest_open_start"] for row in parts if row["oldest_open_start"]]
        open_jobs = sum(row["open_jobs"] for row in parts)
        table.add_row(
            sanitize(name),
            f"{sum(row['rows_held'] for row in parts):,}",
            _open({"open_jobs": open_jobs, "oldest_open_start": min(starts, default=None)}),
            _short(max((row["newest_finish"] for row in parts if row["newest_finish"]), default=None)),
            _short(min(ends) if ends and all(ends) else None) + ("" if _is_complete(parts) else "\nnot complete"),
        )
    return table


def _is_complete(parts: list[Row]) -> bool:
    """Return whether the listings of all services of a tenant are complete."""
    return all(row["complete"] for row in parts if row["object_type"])


def _table(first: str) -> Table:
    """Return an empty table of the status; ``first`` is the title of its first column."""
    table = Table(
        *(first, "Jobs", "Open\n(oldest)", "Newest\nfinish", "Complete\nuntil"), box=SIMPLE, padding=(0, 1, 0, 0)
    )
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[1:3]:
        column.justify = "right"
    return table


def _partitions(rows: list[Row], unknown_services: list[Row]) -> Table:
    table = _table("Partition")
    for row in rows:
        label = partition_label(row["tenant"], row["location"], row["object_type"] or "all services")
        table.add_row(
            wrap_partition(label, LABEL_WIDTH),
            f"{row['rows_held']:,}",
            _open(row),
            _short(row["newest_finish"]),
            _short(row["complete_until"]) + ("" if row["complete"] else "\nnot complete"),
        )
    for row in unknown_services:
        name = wrap_partition(partition_label(row["tenant"], row["location"], "unknown service"), LABEL_WIDTH)
        table.add_row(name, f"{row['rows_held']:,}", _open(row), _short(row["newest_finish"]), "-")
    return table


def _runs(runs: list[dict[str, Any]], many: bool = False) -> Iterator[Any]:
    """Yield the last loads of one tenant, or the last load of each of several, and their details.

    Of many tenants, those whose last load is complete share one line.
    """
    last = {run["tenant"]: run for run in reversed(runs)}
    several = len(last) > 1
    first = ("Tenant", "Last load (UTC)") if several else ("Last loads (UTC)",)
    if many:
        complete = [run["started_at"] for run in last.values() if run["status"] == "complete"]
        last = {tenant: run for tenant, run in last.items() if run["status"] != "complete"}
        if complete:
            between = f"{_minute(min(complete))} and {_minute(max(complete))}"
            yield Text(f"Last load complete: {format_count(len(complete), 'tenant')}, begun between {between} UTC.")
        if not last:
            return
    table = Table(*first, "Status", "Jobs", "Requests", box=SIMPLE, padding=(0, 1, 0, 0))
    shown = sorted(last.values(), key=lambda run: str(run["tenant"])) if several else runs
    for run in shown:
        names = [Text(run["tenant"])] if several else []
        table.add_row(*names, _minute(run["started_at"]), run["status"], f"{run['jobs']:,}", f"{run['requests']:,}")
    if several:
        table.columns[0].overflow = "fold"
    for column in table.columns[several:]:
        column.no_wrap = True
    for column in table.columns[-2:]:
        column.justify = "right"
    yield table
    for run in shown:
        if run["detail"]:
            about = run["tenant"] if several else _minute(run["started_at"])
            yield Text(sanitize(f"{about}: {run['detail']}"))


def _open(partition: dict[str, Any]) -> str:
    """Return the number of open jobs, and the time since the oldest started; a waiting job may start later or never."""
    if not partition["open_jobs"]:
        return "0"
    oldest = partition["oldest_open_start"]
    age = "?"
    if oldest:
        hours = (datetime.now(UTC) - oldest) / timedelta(hours=1)
        age = "ahead" if lies_ahead(hours) else format_duration(max(hours, 0))
    return f"{partition['open_jobs']:,} ({age})"


def _short(moment: datetime | None) -> str:
    """Return a time to the minute, or only its day if it is 300 days ago."""
    if moment and datetime.now(UTC) - moment < timedelta(days=300):
        return f"{moment:%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d}" if moment else "-"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
