"""Return an evaluation as JSON values for monitors."""

from __future__ import annotations

from typing import Any

from m365_jobs.health.evaluate import Evaluation


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON values for monitoring; docs/how-to/health.md describes the keys."""
    return {
        "healthy": not evaluation.problems,
        "judged_at": evaluation.evaluated_at,
        "warehouse": evaluation.warehouse,
        "max_data_age_hours": evaluation.max_data_age_hours,
        "completeness": {"proved": evaluation.completeness.proved, **evaluation.completeness._asdict()},
        "reasons": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "tenant": finding.tenant,
                "location": finding.location,
                "object_type": finding.object_type,
                "text": finding.with_service(finding.text),
                "errors": list(finding.errors),
                "action": finding.action,
            }
            for finding in evaluation.findings
        ],
        "protection": [{key: row[key] for key in row if key != "was"} for row in evaluation.protection],
    }
