"""Draw an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from m365_jobs.cli.tables.many_tenants import (
    MAX_IN_FULL,
    affected_text,
    completeness_text,
    evaluated_tenants,
    group_kinds,
    kind_text,
)
from m365_jobs.cli.tables.partition import wrap_partition
from m365_jobs.config.tenants import MANY_TENANTS
from m365_jobs.health.evaluate import Evaluation, Row
from m365_jobs.health.finding import Finding, partition_label
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.text import format_count, format_duration, format_time, lies_ahead, sanitize

LABEL_WIDTH = 29
"""Width of the column of partitions on a terminal of 80 columns."""

FOLDED = ("protected", "ignored")
"""Statuses of partitions that the terminal counts and does not list."""

SEVERITY_COLOURS = {"problem": "red", "warning": "yellow", "": "green"}


def health_tables(evaluation: Evaluation) -> Iterator[Any]:
    """Yield verdict and findings for a terminal of 80 columns, the most severe first.

    Of many tenants, a row stands for all findings of a kind.
    """
    names = evaluated_tenants(evaluation)
    tenants = len(names) if len(names) >= MANY_TENANTS else 0
    problems, warnings = evaluation.problems, evaluation.warnings
    verdict = Text(evaluation.verdict, "bold red" if problems else "bold green")
    counts = f": {format_count(len(problems), 'problem')}, {format_count(len(warnings), 'warning')}"
    verdict.append(f"{counts}. Evaluated {format_time(evaluation.evaluated_at)}.", "default")
    yield verdict
    if tenants:
        yield Text(affected_text(evaluation))
    if problems:
        yield _findings("Problem", problems, tenants)
    if warnings:
        yield _findings("Warning", warnings, tenants)
    yield Text(sanitize(completeness_text(evaluation) if tenants else evaluation.completeness.text))
    if evaluation.protection:
        yield from _partitions(evaluation, listed=not tenants)
    # Repeated: the first line may have scrolled off the screen.
    yield verdict


def _findings(title: str, findings: list[Finding], tenants: int) -> Table:
    """Return a table of findings; ``tenants`` is the number of many tenants, else 0."""
    table = Table(title, "What", box=SIMPLE, padding=(0, 1, 0, 0))
    for kind, of_kind in group_kinds(findings):
        grouped = tenants and len(of_kind) > MAX_IN_FULL
        texts = [Text(sanitize(text)) for text in ([kind_text(of_kind, tenants)] if grouped else map(_line, of_kind))]
        # The action follows the last finding of a kind.
        texts[-1].append(f"\n> {of_kind[0].action}", "dim")
        for text in texts:
            table.add_row(Text(kind.replace("_", " "), SEVERITY_COLOURS[title.lower()]), text)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    return table


def _line(finding: Finding) -> str:
    partition = partition_label(finding.tenant, finding.location, finding.service_name)
    return f"{partition}: {finding.explained}" if partition else finding.explained


def _partitions(evaluation: Evaluation, *, listed: bool) -> Iterator[Any]:
    """Yield a table of the partitions without a finding of their own, if ``listed``, and the number of the rest."""
    rows = evaluation.protection
    explained = {
        (finding.kind, finding.tenant, finding.location, finding.object_type) for finding in evaluation.findings
    }
    unlisted = [row for row in rows if row["status"] not in FOLDED]
    shown = [row for row in unlisted if listed and _key(row) not in explained]
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
    if hidden := len(rows) - len(unlisted):
        more = "more partition" if unlisted else "partition"
        yield Text(f"{format_count(hidden, more)} protected or ignored; --format json names them.")


def _key(row: Row) -> tuple[str, str, str | None, str]:
    return row["status"], row["tenant"], row["location"], row["object_type"]


def _age(hours: float | None) -> str:
    """Return an age; of a success after the end of the data, how far it lies ahead."""
    if hours is None:
        return "-"
    return f"in {format_duration(-hours)}" if lies_ahead(hours) else format_duration(max(hours, 0))


def _colour(status: str) -> str:
    member = ProtectionStatus(status)
    return "" if member is ProtectionStatus.ignored else SEVERITY_COLOURS[member.severity]
