"""Read the findings of an evaluation as alerts see them: one for each tenant, location, service and kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from m365_jobs.health.alerts.models import AlertFinding
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.reasons import Reason

MAX_TEXTS = 5
"""Texts that an alert of several findings shows."""


def findings_of(evaluation: Evaluation) -> list[AlertFinding]:
    """Return one finding for each identity. Several of one identity are joined: three slow jobs are one alert."""
    protection = {(row["tenant"], row["location"], row["object_type"]): row for row in evaluation.protection}
    groups: dict[str, list[AlertFinding]] = {}
    for finding in _each(evaluation.reasons, protection):
        groups.setdefault(finding.alert_id, []).append(finding)
    return [_joined(group) for group in groups.values()]


def _each(reasons: list[Reason], protection: dict[tuple[Any, Any, Any], dict[str, Any]]) -> Iterator[AlertFinding]:
    for reason in reasons:
        row = protection.get((reason.tenant, reason.location, reason.object_type), {})
        measure = row.get(reason.check.measure) or 1
        yield AlertFinding(
            reason.kind,
            reason.severity,
            reason.tenant,
            reason.location,
            reason.object_type,
            reason.explained,
            float(measure),
        )


def _joined(group: list[AlertFinding]) -> AlertFinding:
    first = group[0]
    if len(group) == 1:
        return first
    texts = [finding.text for finding in group[:MAX_TEXTS]]
    if len(group) > MAX_TEXTS:
        texts.append(f"and {len(group) - MAX_TEXTS} more")
    measure = sum(finding.measure for finding in group)
    return AlertFinding(
        first.kind, first.severity, first.tenant, first.location, first.object_type, "; ".join(texts), measure
    )
