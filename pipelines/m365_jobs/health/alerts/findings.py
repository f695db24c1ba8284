"""Convert the findings of an evaluation to those of alerts: one for each tenant, location, service and kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from m365_jobs.health.alerts.models import AlertFinding
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.finding import Finding

MAX_MERGED_TEXTS = 5
"""Number of texts that an alert of several findings shows."""

PartitionKey: TypeAlias = tuple[str | None, str | None, str | None]
"""Tenant, location and object type."""


def findings_of(evaluation: Evaluation) -> list[AlertFinding]:
    """Return one finding for each alert id. Findings with the same id are merged: three slow jobs are one alert."""
    protection = {(row["tenant"], row["location"], row["object_type"]): row for row in evaluation.protection}
    groups: dict[str, list[AlertFinding]] = {}
    for finding in _alert_findings(evaluation.findings, protection):
        groups.setdefault(finding.alert_id, []).append(finding)
    return [_merge(group) for group in groups.values()]


def _alert_findings(findings: list[Finding], protection: dict[PartitionKey, dict[str, Any]]) -> Iterator[AlertFinding]:
    """Yield each finding as that of an alert; its measure is that of its check in ``protection_status``, else 1."""
    for finding in findings:
        row = protection.get((finding.tenant, finding.location, finding.object_type), {})
        measure = row.get(finding.check.measure) or 1
        yield AlertFinding(
            finding.kind,
            finding.severity,
            finding.tenant,
            finding.location,
            finding.object_type,
            finding.with_service(finding.explained),
            float(measure),
        )


def _merge(group: list[AlertFinding]) -> AlertFinding:
    """Return one finding with the texts of all and the sum of their measures."""
    first = group[0]
    if len(group) == 1:
        return first
    texts = [finding.text for finding in group[:MAX_MERGED_TEXTS]]
    if len(group) > MAX_MERGED_TEXTS:
        texts.append(f"and {len(group) - MAX_MERGED_TEXTS} more")
    measure = sum(finding.measure for finding in group)
    return AlertFinding(
        first.kind, first.severity, first.tenant, first.location, first.object_type, "; ".join(texts), measure
    )
