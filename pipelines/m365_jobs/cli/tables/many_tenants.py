"""Draw the findings of many tenants: a row for each kind, which names its tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.finding import Finding
from m365_jobs.text import format_count

MAX_IN_FULL = 3
"""Findings of a kind that are printed in full."""

MAX_WARNED_TENANTS = 10
"""Tenants that a row of warnings names. Problems name all."""


def evaluated_tenants(evaluation: Evaluation) -> frozenset[str]:
    """Return the tenants that an evaluation has a partition or a finding of."""
    in_rows = {row["tenant"] for row in evaluation.protection}
    return frozenset(in_rows | {finding.tenant for finding in evaluation.findings if finding.tenant})


def group_kinds(findings: Iterable[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Yield the kinds of findings in the order of severity, each with its findings."""
    for kind, of_kind in groupby(findings, lambda finding: finding.kind):
        yield kind, list(of_kind)


def kind_text(findings: Sequence[Finding], tenants: int) -> str:
    """Return the number of findings of a kind and its tenants, the most affected first; ``tenants`` is their total."""
    counts = Counter(finding.tenant or "" for finding in findings)
    what = format_count(len(findings), "service" if all(finding.service_name for finding in findings) else "finding")
    if len(counts) == tenants:
        return f"{what} of all {format_count(tenants, 'tenant')}"
    worst_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    names = [f"{name} ({count})" if count > 1 else name for name, count in worst_first]
    if findings[0].severity == "warning" and len(names) > MAX_WARNED_TENANTS:
        names = [*names[:MAX_WARNED_TENANTS], f"and {len(names) - MAX_WARNED_TENANTS} more"]
    return f"{what} of {format_count(len(counts), 'tenant')}: {', '.join(names)}"


def affected_text(evaluation: Evaluation) -> str:
    """Return how many tenants have problems, and how many have warnings only."""
    tenants = evaluated_tenants(evaluation)
    unhealthy = {finding.tenant for finding in evaluation.problems} & tenants
    warned = ({finding.tenant for finding in evaluation.warnings} & tenants) - unhealthy
    return (
        f"Tenants with problems: {len(unhealthy):,} of {len(tenants):,}; with warnings only: {len(warned):,}. "
        "For services and causes: --tenant NAME, or --format json."
    )


def completeness_text(evaluation: Evaluation) -> str:
    """Return the numbers of tenants and partitions that are not proved complete."""
    parts = evaluation.completeness
    if parts.proved:
        return parts.text
    numbers = (
        (parts.never_loaded, "never loaded", "tenant"),
        (parts.failed, "whose last load failed", "tenant"),
        (parts.incomplete, "not proved complete", "partition"),
    )
    texts = [f"{format_count(len(names), noun)} {what}" for names, what, noun in numbers if names]
    return f"Not everything is proved complete: {', '.join(texts)}."
