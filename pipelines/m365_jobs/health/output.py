"""What health found, as a person or a monitor reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.health.checks import count
from m365_jobs.health.evaluate import Health, Reason, hours, moment, place
from m365_jobs.text import harmless

ROWS = 40
"""Partitions up to which those that are fine are shown one by one."""

NAME = 29
"""Letters that a partition's name has on a terminal of 80 columns."""

COLOURS = {
    **dict.fromkeys(("failing", "never", "late", "unknown", "problem"), "red"),
    **dict.fromkeys(("running_long", "warning"), "yellow"),
    "protected": "green",
}


def as_json(health: Health) -> dict[str, Any]:
    """For monitors; the README says what the keys mean."""
    return {
        "healthy": not health.problems,
        "judged_at": health.judged_at,
        "warehouse": health.warehouse,
        "max_data_age_hours": health.max_data_age_hours,
        "reasons": [
            {
                "kind": one.kind.value,
                "severity": one.kind.severity,
                "tenant": one.tenant,
                "location": one.location,
                "object_type": one.object_type,
                "text": one.text,
            }
            for one in health.reasons
        ],
        "protection": health.protection,
    }


def tables(health: Health) -> Iterator[Any]:
    """For a terminal of 80 columns: the verdict, the reasons, then each partition, the worst first."""
    warnings = [one for one in health.reasons if one not in health.problems]
    verdict = Text("UNHEALTHY", "bold red") if health.problems else Text("Healthy", "bold green")
    counts = f": {count(len(health.problems), 'problem')}, {count(len(warnings), 'warning')}"
    yield verdict.append(f"{counts}. Judged {moment(health.judged_at)}.", "default")
    if health.problems:
        yield _reasons("Problem", health.problems)
    if warnings:
        yield _reasons("Warning", warnings)
    if health.protection:
        yield from _partitions(health)


def _reasons(title: str, reasons: list[Reason]) -> Table:
    table = Table(title, "What", box=SIMPLE, padding=(0, 1, 0, 0))
    for one in reasons:
        word = Text(one.kind.value.replace("_", " "), COLOURS[title.lower()])
        table.add_row(word, Text(harmless(f"{one.place}: {one.text}" if one.place else one.text)))
    table.columns[0].no_wrap = True
    return table


def in_lines(name: str, width: int) -> Text:
    """The name of a partition, a part on each line where one of so many letters does not hold it."""
    head, slash, service = name.rpartition("/")
    if len(name) <= width or not slash:
        return Text(name)
    lines = [f"{head}/"] if len(head) < width else [f"{part}/" for part in head.split("/")]
    return Text("\n".join([*lines, f"  {service}"]))


def _partitions(health: Health) -> Iterator[Any]:
    rows = health.protection
    shown = rows if len(rows) <= ROWS else [row for row in rows if row["status"] not in ("protected", "ignored")]
    table = Table("Status", "Partition", "Last success", "Age", "Failed", "Open", box=SIMPLE, padding=(0, 1, 0, 0))
    for row in shown:
        last, age = row["last_success_at"], row["hours_since_success"]
        table.add_row(
            Text(row["status"].replace("_", " "), COLOURS.get(row["status"], "")),
            in_lines(place(row["tenant"], row["location"], row["object_type"]), NAME),
            f"{last:%m-%d %H:%M}" if last else "-",
            hours(age) if age is not None else "-",
            f"{row['consecutive_failures']:,}",
            f"{row['open_jobs']:,}",
        )
    for index in (0, 2, 3):
        table.columns[index].no_wrap = True
    table.columns[1].overflow = "fold"
    for index in (3, 4, 5):
        table.columns[index].justify = "right"
    if shown:
        yield table
    if hidden := len(rows) - len(shown):
        yield Text(f"{count(hidden, 'more partition')} protected or ignored; --format json names them.")
    yield Text("Times are UTC. Age: from the last success to the end of the data. Failed: backups in a row.", "dim")
