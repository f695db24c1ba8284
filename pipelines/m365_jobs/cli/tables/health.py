"""Draw an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.cli.tables.partition import wrap_partition
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.health.reasons import Reason, partition_label
from m365_jobs.text import format_count, format_duration, format_time, lies_ahead, sanitize

LABEL_WIDTH = 29
"""Width of the column of partitions on a terminal of 80 columns."""

FOLDED = ("protected", "ignored")
"""Statuses of partitions that the terminal counts and does not list."""

SEVERITY_COLOURS = {"problem": "red", "warning": "yellow", "": "green"}


def health_tables(evaluation: Evaluation) -> Iterator[Any]:
    """Yield verdict, findings and partitions for a terminal of 80 columns, the most severe first."""
    problems, warnings = evaluation.problems, evaluation.warnings
    verdict = Text(evaluation.verdict, "bold red" if problems else "bold green")
    counts = f": {format_count(len(problems), 'problem')}, {format_count(len(warnings), 'warning')}"
    verdict.append(f"{counts}. Evaluated {format_time(evaluation.evaluated_at)}.", "default")
    yield verdict
    if problems:
        yield _reasons("Problem", problems)
    if warnings:
        yield _reasons("Warning", warnings)
    yield Text(sanitize(evaluation.completeness.text))
    if evaluation.protection:
        yield from _partitions(evaluation)
    # Repeated: the first line may have scrolled off the screen.
    yield verdict


def _reasons(title: str, reasons: list[Reason]) -> Table:
    table = Table(title, "What", box=SIMPLE, padding=(0, 1, 0, 0))
    for number, finding in enumerate(reasons, 1):
        word = Text(finding.kind.replace("_", " "), SEVERITY_COLOURS[title.lower()])
        partition = partition_label(finding.tenant, finding.location, finding.service_name)
        text = Text(sanitize(f"{partition}: {finding.explained}" if partition else finding.explained))
        # The action follows the last finding of a kind.
        if number == len(reasons) or reasons[number].kind != finding.kind:
            text.append(f"\n> {finding.action}", "dim")
        table.add_row(word, text)
    table.columns[0].no_wrap = True
    return table


def _partitions(evaluation: Evaluation) -> Iterator[Any]:
    rows = evaluation.protection
    shown = [row for row in rows if row["status"] not in FOLDED]
    table = Table("Status", "Partition", "Last success", "Age", "Failed", "Open", box=SIMPLE, padding=(0, 1, 0, 0))
    for row in shown:
        last, age = row["last_success_at"], row["hours_since_success"]
        table.add_row(
            Text(row["status"].replace("_", " "), _colour(row["status"])),
            wrap_partition(partition_label(row["tenant"], row["location"], row["object_type"]), LABEL_WIDTH),
            f"{last:%m-%d %H:%M}" if last else "-",
            _age(age),
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
        yield Text("Times are UTC. Age: from the last success to the end of the data. Failed: backups in a row.", "dim")
    if hidden := len(rows) - len(shown):
        more = "more partition" if shown else "partition"
        yield Text(f"{format_count(hidden, more)} protected or ignored; --format json names them.")


def _age(hours: float | None) -> str:
    """Return an age; of a success after the end of the data, how far it lies ahead."""
    if hours is None:
        return "-"
    return f"in {format_duration(-hours)}" if lies_ahead(hours) else format_duration(max(hours, 0))


def _colour(status: str) -> str:
    member = ProtectionStatus(status)
    return "" if member is ProtectionStatus.ignored else SEVERITY_COLOURS[member.severity]
