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
from m365_jobs.health.failed_companions import failure_lines
from m365_jobs.health.protection import unknown_service_reason
from m365_jobs.health.reasons import partition_label
from m365_jobs.health.status import Row
from m365_jobs.text import format_duration, lies_ahead, sanitize

LABEL_WIDTH = 24
"""Width of the column of partitions on a terminal of 80 columns."""


def status_tables(status: dict[str, Any]) -> Iterator[Any]:
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
    yield _partitions(status["partitions"], status["unknown_services"])
    # A line below the table, since a caption is wrapped to the width of the table.
    yield Text("Times are UTC. Open: jobs that run, and for how long the oldest has.", "dim")
    if status["unknown_services"]:
        jobs, unknown = status["tables"]["jobs"], sum(row["rows_held"] for row in status["unknown_services"])
        yield Text(f"Jobs of an unknown service: {unknown_service_reason(unknown, jobs - unknown)}.")
    for row in status["findings"]:
        tenant = partition_label(row["tenant"], None, None)
        yield Text(sanitize(f"Finding: {tenant + ': ' if tenant else ''}{row['text']}."))
    for text in failure_lines(status["companions"]):
        yield Text(sanitize(text))
    yield from _runs(status["runs"])


def _partitions(rows: list[Row], unknown_services: list[Row]) -> Table:
    table = Table(
        *("Partition", "Jobs", "Open\n(oldest)", "Newest\nfinish", "Complete\nuntil"),
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
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
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[1:3]:
        column.justify = "right"
    return table


def _runs(runs: list[dict[str, Any]]) -> Iterator[Any]:
    """Yield the last loads of one tenant, or the last load of each of several, and their details."""
    last = {run["tenant"]: run for run in reversed(runs)}
    several = len(last) > 1
    first = ("Tenant", "Last load (UTC)") if several else ("Last loads (UTC)",)
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
